import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import { type AddressInfo, createServer as createNetServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { afterEach, beforeEach, expect, test } from 'vitest'
import '../../src/ssh/ssh2.ts'
import { examineMetrics } from '../../src/cli/examine-metrics.ts'
import { openWatch } from '../../src/observe/metrics/watch.ts'
import { createReadiness } from '../../src/observe/readiness.ts'
import { freePort } from '../support/port.ts'

const closers: (() => unknown)[] = []
let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hw-test-examine-metrics-'))
})
afterEach(async () => {
  for (const close of closers.splice(0)) await close()
  await rm(folder, { recursive: true, force: true })
})

const on = (port: number) => examineMetrics({ metrics: { listen: { kind: 'tcp', host: '127.0.0.1', port } } })

test('off is said, and a place where nobody listens is free', async () => {
  expect(await examineMetrics({ metrics: { listen: { kind: 'none' } } })).toMatchObject({
    state: 'ok',
    found: 'off; metrics.listen turns them on',
  })
  const port = await freePort()
  expect(await on(port)).toMatchObject({
    state: 'ok',
    found: `127.0.0.1:${port} is free: served once the gateway runs`,
  })
  const path = join(folder, 'm.sock')
  const found = await examineMetrics({ metrics: { listen: { kind: 'unix', path } } })
  expect(found).toMatchObject({ state: 'ok', found: `unix:${path} is free: served once the gateway runs` })
})

test('a gateway there says whether it is ready', async () => {
  const readiness = createReadiness()
  const listen = { kind: 'unix', path: join(folder, 'm.sock') } as const
  const watch = await openWatch(listen, readiness, pino({ enabled: false }))
  closers.push(() => watch.close())
  expect(await examineMetrics({ metrics: { listen } })).toMatchObject({
    state: 'ok',
    found: `unix:${listen.path}, where a gateway says that it is ready`,
  })
  readiness.block('engine', 'it went')
  expect(await examineMetrics({ metrics: { listen } })).toMatchObject({
    state: 'warn',
    found: `unix:${listen.path}, where a gateway says that it is not ready: engine: it went`,
  })
})

test('another program’s port is found, whatever that answers', async () => {
  const other = createServer((_, response) => response.writeHead(404).end('x'.repeat(1_000_000))).listen(0, '127.0.0.1')
  await once(other, 'listening')
  closers.push(
    () => other.closeAllConnections(),
    () => other.close(),
  )
  const { port } = other.address() as AddressInfo
  expect(await on(port)).toMatchObject({
    state: 'fail',
    found: `127.0.0.1:${port} is another program's: it answers /healthz with 404`,
    advice: expect.stringContaining('choose another port with metrics.listen'),
  })
  const rude = createNetServer((socket) => socket.end('SSH-2.0-x\r\n')).listen(0, '127.0.0.1')
  await once(rude, 'listening')
  closers.push(() => rude.close())
  expect(await on((rude.address() as AddressInfo).port)).toMatchObject({
    state: 'warn',
    found: expect.stringContaining('cannot be asked'),
  })
})
