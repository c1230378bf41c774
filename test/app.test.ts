/** The composition root: whatever fails at its start leaves nothing open behind. */
import { createHook } from 'node:async_hooks'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, readlink, rm, writeFile } from 'node:fs/promises'
import { createServer as createHttpServer, request } from 'node:http'
import { type AddressInfo, createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import '../src/ssh/ssh2.ts'
import { startGateway } from '../src/app.ts'
import { type Config, type ConfigInput, configSchema } from '../src/config/schema.ts'
import { run } from './support/run.ts'

const log = pino({ enabled: false })

/** Timers and handles that live, whether or not they keep the process. */
const alive = new Map<number, string>()
const WATCHED = /^(Timeout|PIPE|TCP|FSEVENT|STATWATCHER|PROCESSWRAP)/
const hook = createHook({
  init: (id, type) => void (WATCHED.test(type) && alive.set(id, type)),
  destroy: (id) => void alive.delete(id),
})

async function descriptors(): Promise<string[]> {
  const names = await readdir('/proc/self/fd')
  const links = await Promise.all(names.map((name) => readlink(`/proc/self/fd/${name}`).catch(() => '')))
  return links.filter((link) => /^(socket:|\/)/.test(link)).sort()
}

let keysDirectory: string
let folder: string
let engine: Server
let used: Server
let engineSocket: string
let calls = 0
beforeAll(async () => {
  keysDirectory = await mkdtemp(join(tmpdir(), 'hw-test-app-keys-'))
  await run('ssh-keygen', ['-q', '-N', '', '-t', 'ed25519', '-f', join(keysDirectory, 'ssh_host_ed25519_key')])
  engineSocket = join(keysDirectory, 'engine.sock')
  // Refuses every call, and follows events for ever.
  engine = createHttpServer((request, response) => {
    response.sendDate = false
    calls++
    if (!request.url?.includes('/events')) response.writeHead(500).end('{"message": "not now"}')
  }).listen(engineSocket)
  await once(engine, 'listening')
  used = createServer().listen(0, '127.0.0.1')
  await once(used, 'listening')
})
afterAll(async () => {
  engine.close()
  used.close()
  await rm(keysDirectory, { recursive: true, force: true })
})
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hw-test-app-'))
  await writeFile(join(folder, 'authorized_keys'), '')
})
afterEach(() => rm(folder, { recursive: true, force: true }))

function config(more: ConfigInput): Config {
  const given = {
    keysDirectory,
    authorizedKeys: [join(folder, 'authorized_keys')],
    hostKeys: [join(keysDirectory, 'ssh_host_ed25519_key')],
    engine: { kind: 'docker', endpoint: `unix://${engineSocket}` },
    listen: ['127.0.0.1:0'],
    ...more,
  }
  return { ...configSchema.parse(given), keysDirectory: given.keysDirectory ?? keysDirectory }
}

/** What `act` opened and left open, once what ends by itself has ended. */
async function leftBy(act: () => Promise<unknown>): Promise<string[]> {
  alive.clear()
  const before = await descriptors()
  hook.enable()
  let left: string[] = []
  try {
    await act()
    for (let turn = 0; turn < 50; turn++) {
      const now = await descriptors()
      const opened = now.filter((name) => !before.includes(name))
      left = [...alive.values(), ...opened]
      if (left.length === 0) break
      await new Promise((resolve) => setImmediate(resolve))
      await new Promise((resolve) => engine.getConnections(resolve))
    }
  } finally {
    hook.disable()
  }
  return left
}

test('a gateway that is watched and closed leaves nothing open', async () => {
  const socket = join(folder, 'metrics.sock')
  const left = await leftBy(async () => {
    const gateway = await startGateway(config({ metrics: { listen: `unix:${socket}` } }), log)
    expect(await ask(socket, '/healthz')).toEqual({ status: 200, body: 'ok\n' })
    // This engine refuses all that is asked.
    const { status, body } = await ask(socket, '/readyz')
    expect(status).toBe(503)
    expect(body).toMatch(/^engine: .*\n$/)
    const metrics = async () => (await ask(socket, '/metrics')).body
    await expect.poll(metrics).toContain('hatchway_ready{check="engine"} 0\n')
    expect(await metrics()).toContain('call="inspect",outcome="ENGINE_ERROR"}')
    await gateway.close()
  })
  expect(left).toEqual([])
  await expect(ask(socket, '/healthz')).rejects.toThrow()
})

test('a gateway that drains is not ready at once, and lives', async () => {
  const socket = join(folder, 'metrics.sock')
  const gateway = await startGateway(config({ metrics: { listen: `unix:${socket}` } }), log)
  const drained = gateway.drain(new AbortController().signal, { graceMs: 1, signal: 'SIGTERM' })
  expect(await ask(socket, '/readyz')).toEqual({ status: 503, body: 'draining: the gateway is shutting down\n' })
  expect(await ask(socket, '/healthz')).toMatchObject({ status: 200 })
  expect((await ask(socket, '/metrics')).body).toContain('hatchway_draining 1\n')
  await drained
  await gateway.close()
})

test('the audit trail has the moment at which no new connections are taken, once, and the stop after it', async () => {
  const file = join(folder, 'audit.jsonl')
  const gateway = await startGateway(config({ audit: { file } }), log)
  await Promise.all([gateway.stopListening(), gateway.stopListening()])
  await gateway.stopListening()
  await gateway.drain(new AbortController().signal, { graceMs: 1, signal: 'SIGTERM' })
  await gateway.close()
  const records = (await readFile(file, 'utf8'))
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
  expect(records.filter(({ action }) => action.startsWith('gateway-'))).toMatchObject([
    { action: 'gateway-start' },
    { action: 'gateway-release', connections: 0 },
    { action: 'gateway-drain', sessions: 0, graceMs: 1, signal: 'SIGTERM' },
    { action: 'gateway-end' },
  ])
})

test('an engine that hangs: however many ask, it is asked once, and each has an answer in time', async () => {
  const asked: string[] = []
  const hung = createHttpServer(({ url = '' }, response) => {
    if (url === '/version') response.end('{"Version": "20.10", "ApiVersion": "1.41"}')
    else asked.push(url)
  }).listen(join(folder, 'hung.sock'))
  const socket = join(folder, 'metrics.sock')
  const engine = { kind: 'docker', endpoint: `unix://${join(folder, 'hung.sock')}` } as const
  const gateway = await startGateway(config({ engine, metrics: { listen: `unix:${socket}` } }), log)
  await expect.poll(() => asked.some((url) => url.includes('/events'))).toBe(true)
  const began = performance.now()
  const answers = await Promise.all(Array.from({ length: 20 }, () => ask(socket, '/readyz')))
  expect(performance.now() - began).toBeLessThan(5_000)
  expect(new Set(answers.map(({ status, body }) => `${status} ${body}`))).toEqual(
    new Set(['503 engine: no answer within 2 s\n']),
  )
  expect(asked.filter((url) => url.includes('hatchway-readiness'))).toHaveLength(1)
  expect(await ask(socket, '/healthz')).toMatchObject({ status: 200 })
  await gateway.close()
  hung.closeAllConnections()
  hung.close()
})

test('a gateway that is closed leaves nothing open', async () => {
  const left = await leftBy(async () => {
    const gateway = await startGateway(config({}), log)
    expect(gateway.endpoints).toHaveLength(1)
    await expect.poll(() => calls).toBeGreaterThan(0)
    await gateway.close()
    await gateway.close()
  })
  expect(left).toEqual([])
})

function ask(socketPath: string, path: string): Promise<{ status: number | undefined; body: string }> {
  return new Promise((resolve, reject) => {
    const asked = request({ socketPath, path, agent: false }, (response) => {
      let body = ''
      response.setEncoding('utf8').on('data', (text: string) => {
        body += text
      })
      response.on('end', () => resolve({ status: response.statusCode, body }))
    })
    asked.on('error', reject).end()
  })
}

const FAILURES: [string, (folder: string) => Promise<ConfigInput>][] = [
  ['host keys', async (folder) => ({ hostKeys: [join(folder, 'none')] })],
  ['host certificates', async (folder) => ({ hostCertificates: [join(folder, 'none')] })],
  [
    'the state folder, which templates need',
    async (folder) => {
      await writeFile(join(folder, 'state'), 'no folder')
      return { keysDirectory: folder, templates: { box: { image: 'busybox' } } }
    },
  ],
  ['the webhook', async (folder) => ({ authorization: { webhook: 'https://127.0.0.1:1/', ca: join(folder, 'none') } })],
  [
    'the SSH server',
    async (folder) => {
      await writeFile(join(folder, 'cert.pub'), 'ssh-ed25519-cert-v01@openssh.com AAAA')
      return { hostCertificates: [join(folder, 'cert.pub')] }
    },
  ],
  ['the place of metrics', async () => ({ metrics: { listen: `127.0.0.1:${(used.address() as AddressInfo).port}` } })],
  ['an address', async () => ({ listen: ['127.0.0.1:0', `127.0.0.1:${(used.address() as AddressInfo).port}`] })],
]

test.each(FAILURES)('a start that fails at %s leaves nothing open', async (_, broken) => {
  const left = await leftBy(async () => {
    await expect(startGateway(config(await broken(folder)), log)).rejects.toThrow()
  })
  expect(left).toEqual([])
})
