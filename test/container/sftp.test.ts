/** Which server answers sftp, and what ends its start. */
import { expect, test } from 'vitest'
import { HatchwayError } from '../../src/base/errors.ts'
import type { EnvInfo } from '../../src/container/envinfo.ts'
import type { SessionPlace } from '../../src/container/run.ts'
import { runSftp, type SftpOptions } from '../../src/container/sftp.ts'
import type { Engine, ExecSpec, OutputSink } from '../../src/engine/engine.ts'
import { onAbort } from '../../src/lifetime/on-abort.ts'

const IDS = { name: 'dev', uid: 1000, gid: 1000, engineUser: 'dev', entry: true, known: true }
const INFO: EnvInfo = { ...IDS, home: '/', shell: '/bin/sh' }
const KILLED = new HatchwayError('SESSION_KILLED', 'session ended by the administrator')

/** Nothing is found inside, so only the gateway's own server, as root, can serve. */
function start(
  {
    state = 'exited',
    asRoot,
    search = async () => undefined,
  }: {
    state?: 'exited' | 'running'
    asRoot: SftpOptions['asRoot']
    /** The exec that looks for an sftp-server. */
    search?: (id: string, spec: ExecSpec, sink: OutputSink, signal: AbortSignal) => Promise<undefined>
  },
  signal: AbortSignal,
) {
  const engine = { exec: search } as unknown as Engine
  const place = { road: { engine }, container: { id: 'c', state }, user: {}, guest: undefined, killTree: false }
  return runSftp(
    place as unknown as SessionPlace,
    INFO,
    [],
    { readOnly: false, byShell: false, asRoot, space: { take: () => true, give() {} } },
    { write: () => true },
    signal,
  )
}

test('a session that is killed while the policy is asked whether it may be root is not served', async () => {
  const ending = new AbortController()
  const asRoot = async () => {
    ending.abort(KILLED)
    await new Promise(setImmediate)
    return { readOnly: false }
  }
  await expect(start({ asRoot }, ending.signal)).rejects.toBe(KILLED)
})

test('a killed session does not wait for a policy that hangs', async () => {
  const ending = new AbortController()
  const started = start({ asRoot: () => new Promise(() => {}) }, ending.signal)
  setTimeout(() => ending.abort(KILLED), 20)
  await expect(started).rejects.toBe(KILLED)
})

test('nor for an engine that hangs while the container is searched for an sftp-server, and root is not asked for', async () => {
  const ending = new AbortController()
  let asked = 0
  const asRoot = async () => {
    asked++
    return { readOnly: false }
  }
  const search = (_id: string, _spec: ExecSpec, _sink: OutputSink, signal: AbortSignal) =>
    new Promise<undefined>((_resolve, reject) => {
      onAbort(signal, reject)
      ending.abort(KILLED)
    })
  await expect(start({ state: 'running', asRoot, search }, ending.signal)).rejects.toBe(KILLED)
  expect(asked).toBe(0)
})

test('one that was killed before asks the engine nothing', async () => {
  let calls = 0
  const search = async () => {
    calls++
    return undefined
  }
  const asRoot = async () => ({ readOnly: false })
  await expect(start({ state: 'running', asRoot, search }, AbortSignal.abort(KILLED))).rejects.toBe(KILLED)
  expect(calls).toBe(0)
})
