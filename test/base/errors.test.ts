import { readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { asHatchwayError, FAILURES, HatchwayError } from '../../src/base/errors.ts'

test('docs/errors.md tells every failure with its exit code and log level', () => {
  const docs = readFileSync(new URL('../../docs/errors.md', import.meta.url), 'utf8')
  const rows = [...docs.matchAll(/^\| `([A-Z_]+)` \|.*\| (\d+|-) \| (\w+) \|$/gm)]
  const told = Object.fromEntries(rows.map(([, code, exit, level]) => [code, { exit, level }]))
  const real = Object.fromEntries(
    Object.entries(FAILURES).map(([code, { exit, level }]) => [
      code,
      { exit: code === 'CLIENT_GONE' ? '-' : String(exit), level },
    ]),
  )
  expect(told).toEqual(real)
})

test('what is not ours tells a client nothing of itself', () => {
  const failure = asHatchwayError(new Error('connect ECONNREFUSED /secret/path'))
  expect(failure.code).toBe('INTERNAL')
  expect(failure.message).not.toContain('secret')
  expect(failure.cause).toBeInstanceOf(Error)
})

test('a failure stays itself', () => {
  const failure = new HatchwayError('USER_NOT_FOUND', 'no user')
  expect(asHatchwayError(failure)).toBe(failure)
})
