import { expect, test } from 'vitest'
import { tellingFirst } from '../../src/session/session-times.ts'

test('the first byte out is told once, and the counters are called as before it', () => {
  const said: string[] = []
  const counters = {
    addIn: (bytes: number) => void said.push(`in ${bytes}`),
    addOut: (bytes: number) => void said.push(`out ${bytes}`),
  }
  const telling = tellingFirst(counters, () => said.push('first'))
  telling.addIn(1)
  telling.addOut(2)
  telling.addOut(3)
  expect(said).toEqual(['in 1', 'first', 'out 2', 'out 3'])
  expect(telling.addOut).toBe(counters.addOut)
})
