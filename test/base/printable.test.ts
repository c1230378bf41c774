import { describe, expect, it } from 'vitest'
import { clientText, oneLine, printable } from '../../src/base/printable.ts'

describe('printable', () => {
  it.each([
    ['plain ünïcode 漢字', 'plain ünïcode 漢字'],
    ['\u001b[31m', '\\x1b[31m'],
    ['a\nb\u0085', 'a\\x0ab\\x85'],
    ['\u202etxt.exe', '\\u202etxt.exe'],
    ['\u200f\u061c', '\\u200f\\u061c'],
  ])('shows %j as %j', (text, expected) => expect(printable(text)).toBe(expected))

  it('cuts what a client said', () => {
    expect(clientText('a'.repeat(200))).toHaveLength(200)
    expect(clientText('a'.repeat(250_000))).toBe(`${'a'.repeat(200)}...`)
    expect(clientText('\n'.repeat(250_000))).toHaveLength(803)
  })

  it("makes one line of an engine's words, and turns nothing around", () => {
    expect(oneLine(' no such\r\n\x1b[31m file \u202etxt.exe\n')).toBe('no such [31m file \\u202etxt.exe')
    expect(oneLine('a'.repeat(301))).toBe(`${'a'.repeat(300)}...`)
    expect(oneLine('abc', 2)).toBe('ab...')
  })
})
