import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { expect, test } from 'vitest'
import { createStartTimes } from '../../../src/engine/containerd/start-time.ts'
import { sleep } from '../../support/wait.ts'

test('is the time at which the process began, the same each time, and another for each process', async () => {
  const before = Date.now()
  const children = [spawn('sleep', ['30']), spawn('sleep', ['30'])]
  try {
    const times = createStartTimes()
    const [first = '', second = ''] = await Promise.all(children.map((child) => times.of(child.pid ?? 0, 0)))
    expect(first).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$/)
    // The kernel tells when it was booted in whole seconds.
    expect(Math.abs(Date.parse(first) - before)).toBeLessThan(2_000)
    expect(second).not.toBe(first)
    await sleep(50)
    expect(await times.of(children[0]?.pid ?? 0, 0)).toBe(first)
    expect(await createStartTimes().of(children[0]?.pid ?? 0, 0)).toBe(first)
  } finally {
    for (const child of children) {
      child.kill('SIGKILL')
      await once(child, 'exit')
    }
  }
})

test('where /proc does not tell, it is the time that is known otherwise, with the pid', async () => {
  expect(await createStartTimes().of(4194999, 1_700_000_000)).toBe('2023-11-14T22:13:20.004194999Z')
})
