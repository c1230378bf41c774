import { expect, test } from 'vitest'
import { globMatches } from '../../src/base/glob.ts'

test.each([
  ['', '', true],
  ['', 'a', false],
  ['*', '', true],
  ['*', 'anything at all', true],
  ['?', '', false],
  ['?', 'a', true],
  ['a*', 'abc', true],
  ['*c', 'abc', true],
  ['a*c', 'ac', true],
  ['a*c', 'abcd', false],
  ['a*b*c', 'a-b-b-c', true],
  ['*a*b', 'aab', true],
  ['a?c', 'abc', true],
  ['a?c', 'ac', false],
  ['a.c', 'abc', false],
  ['[ab]', 'a', false],
  ['[ab]', '[ab]', true],
  ['web-*', 'web-1', true],
  ['web-*', 'Web-1', false],
  ['**', 'x', true],
  ['a**', 'a', true],
  ['x', 'xx', false],
])('%j and %j: %s', (pattern, text, expected) => {
  expect(globMatches(pattern, text)).toBe(expected)
})

test('what a wildcard may stand for can be limited; what is written stands for itself', () => {
  const letters = (code: number) => code >= 97 && code <= 122
  expect(globMatches('git *', 'git push', letters)).toBe(true)
  expect(globMatches('git *', 'git push;sh', letters)).toBe(false)
  expect(globMatches('a;*', 'a;b', letters)).toBe(true)
  expect(globMatches('a?b', 'a;b', letters)).toBe(false)
})

test('agrees with the obvious regular expression on 100,000 random pairs', () => {
  let seed = 7
  const random = (below: number) => {
    seed = (seed * 1103515245 + 12345) & 0x7fffffff
    return (seed >> 8) % below
  }
  const word = (letters: string, most: number) =>
    Array.from({ length: random(most + 1) }, () => letters[random(letters.length)]).join('')
  let matched = 0
  for (let round = 0; round < 100_000; round++) {
    const pattern = word('ab*?', 8)
    const text = word('ab', 10)
    const expected = new RegExp(`^${pattern.replaceAll('*', '.*').replaceAll('?', '.')}$`).test(text)
    if (expected) matched++
    if (globMatches(pattern, text) !== expected) throw new Error(`${pattern} and ${text}: not ${expected}`)
  }
  expect(matched).toBeGreaterThan(5_000)
})

test('a pattern that hangs a regular expression does not hang this', () => {
  expect(globMatches(`${'*a'.repeat(100)}b`, 'a'.repeat(20_000))).toBe(false)
})
