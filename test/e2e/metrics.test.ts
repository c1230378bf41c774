/** A gateway with metrics.listen, real clients, a real engine that hangs now and then, and a real Prometheus. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { parse } from 'yaml'
import { z } from 'zod'
import { PACKAGE_ROOT } from '../../src/base/package-root.ts'
import { startContainer, type TestContainer } from '../support/containers.ts'
import { type Gateway, startGateway } from '../support/gateway.ts'
import { type HangingEngine, startHangingEngine } from '../support/hanging-engine.ts'
import { freePort } from '../support/port.ts'
import { run } from '../support/run.ts'
import { type Keys, makeKeys, makeSshClient, type SshClient } from '../support/ssh.ts'
import { until } from '../support/wait.ts'

const LONG = 120_000
const NO_PROMETHEUS = (await run('sh', ['-c', 'command -v prometheus'])).code !== 0
if (NO_PROMETHEUS) console.warn('a part of test/e2e/metrics.test.ts is skipped: there is no prometheus')

let keys: Keys
let container: TestContainer
let engine: HangingEngine
let gateway: Gateway
let folder: string
let place: string
const clients: SshClient[] = []
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hw-test-metrics-'))
  ;[keys, container, engine] = await Promise.all([makeKeys(), startContainer('busybox'), startHangingEngine()])
  const env = { HATCHWAY_CONFIG: '/dev/null', HATCHWAY_METRICS_LISTEN: '127.0.0.1:0', DOCKER_HOST: engine.endpoint }
  gateway = await startGateway({ keys, engine: 'docker', env })
  place = /"listen":"(127\.0\.0\.1:\d+)"/.exec(gateway.log())?.[1] ?? ''
}, LONG)
afterAll(async () => {
  await gateway?.stop()
  for (const client of clients) await client.close()
  await Promise.all([container?.remove(), engine?.close(), keys?.close(), rm(folder, { recursive: true, force: true })])
})

function get(path: string, port = place.split(':')[1]): Promise<{ status: number | undefined; body: string }> {
  return new Promise((resolve, reject) => {
    const asked = request({ host: '127.0.0.1', port, path, agent: false }, (response) => {
      let body = ''
      response.setEncoding('utf8').on('data', (text: string) => {
        body += text
      })
      response.on('end', () => resolve({ status: response.statusCode, body }))
    })
    asked.on('error', reject).end()
  })
}

async function person(login: string): Promise<SshClient> {
  const client = await makeSshClient(gateway.target(login))
  clients.push(client)
  return client
}

/** The health check of packaging/compose.yaml, which asks this gateway. Answers its exit code. */
async function composeHealth(): Promise<number> {
  const { services } = compose.parse(parse(await readFile(join(PACKAGE_ROOT, 'packaging/compose.yaml'), 'utf8')))
  const { environment, healthcheck } = services.hatchway
  const [word, program, ...args] = healthcheck.test
  expect([word, program]).toEqual(['CMD', 'node'])
  const its = environment.HATCHWAY_METRICS_LISTEN
  expect(args.join(' ')).toContain(its)
  return (
    await run(
      process.execPath,
      args.map((text) => text.replace(its, place)),
    )
  ).code
}

/** The sample's value; NaN: there is none. */
async function sample(name: string): Promise<number> {
  const line = (await get('/metrics')).body.split('\n').find((one) => one.startsWith(`${name} `))
  return Number(line?.slice(name.length + 1) ?? Number.NaN)
}

test(
  'what a person does is counted: login, session, bytes, helper, calls of the engine, the first byte',
  async () => {
    const before = new Map(
      (await get('/metrics')).body
        .split('\n')
        .map((line) => [line.replace(/ \S+$/, ''), Number(line.replace(/^.* /, ''))]),
    )
    const grown = async (name: string) => (await sample(name)) - (before.get(name) ?? 0)
    const client = await person(`dev@${container.name}`)
    expect(await client.exec('cat', { input: Buffer.alloc(100_000, 'x'), limit: LONG })).toMatchObject({ code: 0 })
    const silent = client.exec('true', { limit: LONG })
    const exec = 'kind="exec",engine="docker",road="guest"'
    await until('both are counted', async () => (await grown(`hatchway_sessions_started_total{${exec}}`)) === 2)
    await silent
    await until('none runs', async () => (await sample(`hatchway_sessions{${exec}}`)) === 0)
    expect(await sample('hatchway_logins_total{method="publickey"}')).toBeGreaterThan(0)
    expect(await sample('hatchway_login_duration_seconds_count{method="publickey"}')).toBeGreaterThan(0)
    expect(await grown('hatchway_bytes_total{carrier="session",direction="in"}')).toBe(100_000)
    expect(await grown('hatchway_bytes_total{carrier="session",direction="out"}')).toBe(100_000)
    expect(await grown('hatchway_first_byte_duration_seconds_count{kind="exec",road="guest"}')).toBe(1)
    expect(await grown('hatchway_resolve_duration_seconds_count{kind="exec"}')).toBe(2)
    expect(await sample('hatchway_helpers')).toBe(1)
    expect(await sample('hatchway_helper_delivery_duration_seconds_count{way="shell"}')).toBe(1)
    expect(await sample('hatchway_engine_calls_total{engine="docker",call="exec",outcome="ok"}')).toBeGreaterThan(0)
    // A scrape asks whether the engine answers, which is a call of its own.
    await until(
      'none is in flight',
      async () => (await sample('hatchway_engine_calls_in_flight{engine="docker"}')) === 0,
    )
    // Somebody listens inside, and nobody does.
    const listening = client.exec('nc -l -p 4711 -e cat', { limit: LONG })
    const echoed = await until('it listens', async () => {
      const through = await client.ssh(['-W', '127.0.0.1:4711', 't'], { input: 'hello', limit: LONG })
      return through.code === 0 && through.stdout.toString() === 'hello'
    })
    expect(echoed).toBe(true)
    await listening
    const local = 'kind="local",engine="docker",road="guest"'
    await until('it is counted', async () => (await sample(`hatchway_forwards_opened_total{${local}}`)) > 0)
    await until('it is over', async () => (await sample(`hatchway_forwards{${local}}`)) === 0)
    expect(await grown('hatchway_bytes_total{carrier="forward",direction="in"}')).toBe(5)
    expect((await client.ssh(['-W', '127.0.0.1:1', 't'], { limit: LONG })).code).not.toBe(0)
    await until('it is counted', async () => (await grown('hatchway_forward_failures_total{kind="local"}')) > 0)
    // A name that no container has, which the client chose: no series of its own.
    const none = await person('dev@no-such-container-of-mine')
    expect((await none.exec('true')).code).toBe(255)
    const refused = 'hatchway_login_refusals_total{method="publickey",reason="not_admitted"}'
    await until('it is counted', async () => (await sample(refused)) > 0)
    const { body } = await get('/metrics')
    for (const word of ['no-such-container', container.name, 'hw-test-ed25519', 'dev@'])
      expect(body).not.toContain(word)
  },
  LONG,
)

test(
  'an engine that hangs: not ready within its limit, alive, and scraped; ready again when it answers',
  async () => {
    await until('it is ready', async () => (await get('/readyz')).status === 200)
    expect(await composeHealth()).toBe(0)
    engine.hang(/./)
    await until('it is not', async () => (await get('/readyz')).body === 'engine: no answer within 2 s\n')
    const began = performance.now()
    expect(await get('/healthz')).toEqual({ status: 200, body: 'ok\n' })
    await until('the metric says so', async () => (await sample('hatchway_ready{check="engine"}')) === 0)
    expect(performance.now() - began).toBeLessThan(10_000)
    engine.release()
    await until('it is ready again', async () => (await get('/readyz')).status === 200)
  },
  LONG,
)

const compose = z.object({
  services: z.object({
    hatchway: z.object({
      environment: z.object({ HATCHWAY_METRICS_LISTEN: z.string() }),
      healthcheck: z.object({ test: z.array(z.string()) }),
    }),
  }),
})
const targets = z.object({
  data: z.object({
    activeTargets: z.array(z.object({ health: z.string(), lastError: z.string(), scrapeUrl: z.string() })),
  }),
})
const rules = z.object({
  data: z.object({
    groups: z.array(
      z.object({ rules: z.array(z.object({ name: z.string(), health: z.string(), state: z.string() })) }),
    ),
  }),
})
const vector = z.object({ data: z.object({ result: z.array(z.object({ value: z.tuple([z.number(), z.string()]) })) }) })

test.skipIf(NO_PROMETHEUS)(
  'Prometheus scrapes it as OpenMetrics, and evaluates the alerts',
  async () => {
    const port = await freePort()
    const config = join(folder, 'prometheus.yml')
    const alerts = join(PACKAGE_ROOT, 'packaging/prometheus/hatchway.rules.yml')
    await writeFile(
      config,
      `global: { scrape_interval: 1s, scrape_timeout: 1s, evaluation_interval: 1s }
scrape_configs: [{ job_name: hatchway, static_configs: [{ targets: ["${place}"] }] }]
rule_files: ["${alerts}"]\n`,
    )
    const data = join(folder, 'data')
    const prometheus = spawn(
      'prometheus',
      [`--config.file=${config}`, `--storage.tsdb.path=${data}`, `--web.listen-address=127.0.0.1:${port}`],
      { stdio: ['ignore', 'ignore', 'pipe'] },
    )
    let said = ''
    prometheus.stderr.setEncoding('utf8').on('data', (text: string) => {
      said += text
    })
    const ask = async <T>(schema: z.ZodType<T>, path: string): Promise<T | undefined> => {
      const answer = await get(`/api/v1/${path}`, String(port)).catch(() => undefined)
      return answer?.status === 200 ? schema.parse(JSON.parse(answer.body)) : undefined
    }
    try {
      const scraped = await until(
        'the gateway was scraped',
        async () => (await ask(targets, 'targets'))?.data.activeTargets.find(({ health }) => health !== 'unknown'),
        40_000,
      ).catch((error: unknown) => {
        throw new Error(said, { cause: error })
      })
      expect(scraped).toMatchObject({ health: 'up', lastError: '', scrapeUrl: `http://${place}/metrics` })
      const value = (expr: string) =>
        until(
          expr,
          async () => (await ask(vector, `query?query=${encodeURIComponent(expr)}`))?.data.result[0]?.value[1],
        )
      expect(await value('hatchway_build_info')).toBe('1')
      expect(Number(await value('sum(hatchway_engine_calls_total)'))).toBeGreaterThan(0)
      // By its name without "_total": it was read as OpenMetrics.
      const metadata = await get('/api/v1/metadata?metric=hatchway_connections_opened', String(port))
      expect(metadata.body).toContain('"type":"counter"')
      const found = await until('the rules were evaluated', async () => {
        const all = (await ask(rules, 'rules'))?.data.groups.flatMap((group) => group.rules) ?? []
        return all.length > 0 && all.every(({ health }) => health !== 'unknown') && all
      })
      expect(found.filter(({ health }) => health !== 'ok')).toEqual([])
      expect(found.filter(({ state }) => state === 'firing')).toEqual([])
    } finally {
      prometheus.kill('SIGTERM')
      await once(prometheus, 'exit')
    }
  },
  LONG,
)

test(
  'a gateway that drains: not ready at once, alive and scraped until its last session has ended',
  async () => {
    const client = await person(`dev@${container.name}`)
    const terminal = client.terminal(['-tt', 't'])
    terminal.send('echo rea""dy\n')
    await terminal.expect('ready', LONG)
    process.kill(gateway.pid, 'SIGTERM')
    await until('it drains', async () => (await get('/readyz')).status === 503)
    expect(await get('/readyz')).toEqual({ status: 503, body: 'draining: the gateway is shutting down\n' })
    expect(await composeHealth()).toBe(1)
    expect(await get('/healthz')).toMatchObject({ status: 200 })
    // What is scraped may be a second old.
    await until('it is measured', async () => (await sample('hatchway_draining')) === 1)
    terminal.send('exit\n')
    await terminal.exit(LONG)
    await until('it has stopped', () =>
      get('/healthz').then(
        () => false,
        () => true,
      ),
    )
  },
  LONG,
)
