/** What is remembered of containers, against a real engine whose calls are counted. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { Containers } from '../../src/container/containers.ts'
import { createDockerEngine } from '../../src/engine/docker/docker.ts'
import type { Copies, Engine } from '../../src/engine/engine.ts'
import { deadline } from '../../src/lifetime/deadline.ts'
import { docker, startContainer, type TestContainer } from '../support/containers.ts'
import { copiesOf } from '../support/copies.ts'
import { until } from '../support/wait.ts'

let container: TestContainer
let engine: Engine
let copies: number

beforeEach(async () => {
  container = await startContainer('busybox')
  engine = createDockerEngine({ endpoint: 'unix:///var/run/docker.sock' })
  copies = 0
  engine = withCopyOut(engine, (copyOut, ...args) => {
    copies++
    return copyOut(...args)
  })
  vi.useFakeTimers({ toFake: ['Date'] })
})
afterEach(async () => {
  vi.useRealTimers()
  await engine.close()
  await container.remove()
})

type CopyOut = Copies['copyOut']

function withCopyOut(of: Engine, copyOut: (of: CopyOut, ...args: Parameters<CopyOut>) => ReturnType<CopyOut>): Engine {
  const known = copiesOf(of)
  return { ...of, copies: { ...known, copyOut: (...args) => copyOut(known.copyOut, ...args) } }
}

const later = () => vi.setSystemTime(Date.now() + 60_000)

test('passwd is read once, and again when it is another file', async () => {
  const containers = new Containers(engine)
  const inspected = await engine.inspect(container.id, deadline(20_000))
  const root = await containers.envInfo(inspected, 'root', 'alice', deadline(20_000))
  expect([root.uid, copies]).toEqual([0, 1])
  later()
  expect(await containers.envInfo(inspected, 'root', 'alice', deadline(20_000))).toEqual(root)
  expect(copies).toBe(1)

  await docker('exec', '-u', '0', container.id, 'sh', '-c', 'echo late:x:4321:4321::/:/bin/sh >>/etc/passwd')
  expect((await containers.envInfo(inspected, 'late', 'alice', deadline(20_000))).uid).toBe(4321)
  later()
  await docker('exec', '-u', '0', container.id, 'sh', '-c', 'sed -i s/4321:4321/4322:4322/ /etc/passwd')
  expect((await containers.envInfo(inspected, 'late', 'alice', deadline(20_000))).uid).toBe(4322)
  expect(copies).toBe(3)
})

test('a link in its place is followed, and a change behind it is seen', async () => {
  const containers = new Containers(engine)
  await docker('exec', '-u', '0', container.id, 'sh', '-c', 'mv /etc/passwd /etc/real && ln -s real /etc/passwd')
  const inspected = await engine.inspect(container.id, deadline(20_000))
  const before = await containers.envInfo(inspected, 'root', 'alice', deadline(20_000))
  later()
  await containers.envInfo(inspected, 'root', 'alice', deadline(20_000))
  expect(copies).toBe(2)
  await docker(
    'exec',
    '-u',
    '0',
    container.id,
    'sh',
    '-c',
    'sed -i s,^root:.*,root:x:0:0::/elsewhere:/bin/sh, /etc/real',
  )
  later()
  expect(await containers.envInfo(inspected, 'root', 'alice', deadline(20_000))).not.toEqual(before)
  expect((await containers.envInfo(inspected, 'root', 'alice', deadline(20_000))).home).toBe('/elsewhere')
})

test('many users that one person asks for are one probe after the other, two of one user one, and nobody else waits', async () => {
  const asked: (() => void)[] = []
  let [inside, most] = [0, 0]
  const slow = withCopyOut(engine, async (copyOut, ...args) => {
    most = Math.max(most, ++inside)
    await new Promise<void>((resolve) => asked.push(resolve))
    return copyOut(...args).finally(() => inside--)
  })
  const containers = new Containers(slow)
  const inspected = await engine.inspect(container.id, deadline(20_000))
  const ask = (asker: string, user: string, signal = deadline(20_000)) =>
    containers.envInfo(inspected, user, asker, signal).then(
      () => true,
      () => false,
    )
  const users = ['1', '2', 'nobody-knows', '3', '3', '4']
  const infos = Promise.all(users.map((user) => ask('mallory', user)))
  const leaves = new AbortController()
  const left = ask('mallory', '5', leaves.signal)
  await until('the first probe asks', () => asked.length === 1)
  // Somebody else's question does not wait behind them, and a caller that left asks nothing.
  const alice = ask('alice', '6')
  leaves.abort(new Error('gone'))
  expect(await left).toBe(false)
  await until('another person asks', () => asked.length === 2)
  asked.splice(1, 1)[0]?.()
  expect(await alice).toBe(true)
  most = inside
  const answering = setInterval(() => asked.shift()?.(), 10)
  try {
    expect(await infos).toEqual([true, true, false, true, true, true])
  } finally {
    clearInterval(answering)
  }
  expect([most, copies]).toEqual([1, 6])
})
