/** A gateway that is told to stop while the next one starts takes that one with it. */
import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { startSuccessor } from '../../src/process/successor.ts'
import { run } from '../support/run.ts'
import { until } from '../support/wait.ts'

const handed = { descriptors: [], addresses: [] }
const lives = async (word: string) => (await run('pgrep', ['-f', word])).code === 0

test('a stop ends the new gateway also while it is not yet the program that was started', async () => {
  const word = `hw-successor-${randomBytes(6).toString('hex')}`
  const stopping = new AbortController()
  // It calls itself another than it was started as.
  const program = ['/bin/sh', '-c', `exec sh -c 'sleep 60; :' ${word}`]
  const started = startSuccessor(handed, {}, stopping.signal, program)
  const refused = expect(started).rejects.toThrow('this gateway was told to stop')
  await until('it runs', () => lives(`^sh -c sleep 60; : ${word}`))
  stopping.abort()
  await refused
  expect(await lives(word)).toBe(false)
})
