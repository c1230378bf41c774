/** What events become, and what a scrape reads. */
import { afterEach, expect, test } from 'vitest'
import '../../src/ssh/ssh2.ts'
import type { EventFacts } from '../../src/observe/events.ts'
import { type Metrics, openMetrics } from '../../src/observe/metrics/metrics.ts'
import { toOpenMetrics, wantsOpenMetrics } from '../../src/observe/metrics/open-metrics.ts'

const opened: Metrics[] = []
afterEach(() => {
  for (const metrics of opened.splice(0)) metrics.close()
})

async function open(freshMs = 0): Promise<Metrics> {
  const metrics = await openMetrics(freshMs)
  opened.push(metrics)
  return metrics
}

/** Samples of these families, without those of buckets. */
async function samples(metrics: Metrics, family: RegExp): Promise<string[]> {
  const { body } = await metrics.scrape('')
  return body.split('\n').filter((line) => family.test(line) && !line.startsWith('#') && !line.includes('_bucket{'))
}

const remote = { address: '192.0.2.7', port: 50_000 }
const context = { connectionId: 'c1', user: 'dev@web', remote, local: remote, signal: new AbortController().signal }
const auth = { type: 'auth', context, method: 'publickey', accepted: false, partial: false, durationMs: 250 } as const

test('logins by method, refusals by method and reason, and how long a login took', async () => {
  const metrics = await open()
  const events: EventFacts[] = [
    { ...auth, failure: 'query' },
    { ...auth, failure: 'turned away' },
    { ...auth, method: 'password', failure: 'try' },
    { ...auth, method: 'keyboard-interactive:totp', failure: 'try' },
    { ...auth, partial: true },
    { ...auth, accepted: true },
  ]
  for (const event of events) metrics.read(event)
  expect(await samples(metrics, /^hatchway_login/)).toEqual([
    'hatchway_logins_total{method="publickey"} 1',
    'hatchway_login_refusals_total{method="publickey",reason="key"} 1',
    'hatchway_login_refusals_total{method="publickey",reason="not_admitted"} 1',
    'hatchway_login_refusals_total{method="password",reason="wrong"} 1',
    'hatchway_login_refusals_total{method="keyboard-interactive",reason="wrong"} 1',
    'hatchway_login_duration_seconds_sum{method="publickey"} 0.25',
    'hatchway_login_duration_seconds_count{method="publickey"} 1',
  ])
})

test('what a client chooses is no label: a thousand methods and users are one series', async () => {
  const metrics = await open()
  const before = (await samples(metrics, /./)).length
  for (let i = 0; i < 1000; i++)
    metrics.read({ ...auth, context: { ...context, user: `u${i}@c${i}` }, method: `m${i}`, failure: 'try' })
  const after = await samples(metrics, /./)
  expect(after.length - before).toBe(1)
  expect(after).toContain('hatchway_login_refusals_total{method="other",reason="wrong"} 1000')
})

test('calls of the engine, while they go on and when they ended', async () => {
  const metrics = await open()
  const [one, two] = [metrics.meterCall('docker', 'exec'), metrics.meterCall('docker', 'inspect')]
  expect(await samples(metrics, /in_flight/)).toEqual(['hatchway_engine_calls_in_flight{engine="docker"} 2'])
  one('ok')
  two('CONTAINER_NOT_FOUND')
  expect(await samples(metrics, /in_flight|engine_calls_total|call_duration_seconds_count/)).toEqual([
    'hatchway_engine_calls_total{engine="docker",call="exec",outcome="ok"} 1',
    'hatchway_engine_calls_total{engine="docker",call="inspect",outcome="CONTAINER_NOT_FOUND"} 1',
    'hatchway_engine_call_duration_seconds_count{engine="docker",call="exec"} 1',
    'hatchway_engine_call_duration_seconds_count{engine="docker",call="inspect"} 1',
    'hatchway_engine_calls_in_flight{engine="docker"} 0',
  ])
})

test('what is known elsewhere is asked for at the scrape; before that it is 0', async () => {
  const metrics = await open()
  expect(await samples(metrics, /^hatchway_(ready|connections\{)/)).toEqual([])
  let loggedIn = 2
  metrics.watch({
    connections: () => ({ all: 5, loggedIn }),
    findings: () => [{ check: 'engine' }, { check: 'draining', reason: 'it goes' }],
  })
  const found = async () => samples(metrics, /^hatchway_(ready|connections\{)/)
  expect(await found()).toEqual([
    'hatchway_connections{state="before_login"} 3',
    'hatchway_connections{state="logged_in"} 2',
    'hatchway_ready{check="engine"} 1',
    'hatchway_ready{check="draining"} 0',
  ])
  loggedIn = 4
  expect(await found()).toContain('hatchway_connections{state="before_login"} 1')
})

test('however many scrape at once, and for a moment after, one reading is made', async () => {
  const metrics = await open(200)
  let asked = 0
  metrics.watch({
    connections: () => ({ all: ++asked, loggedIn: 0 }),
    findings: () => [],
  })
  const all = await Promise.all(Array.from({ length: 50 }, () => metrics.scrape('')))
  expect(asked).toBe(1)
  expect(new Set(all.map(({ body }) => body)).size).toBe(1)
  await expect.poll(async () => (await metrics.scrape('')) && asked).toBe(2)
})

test('the process, its descriptors and its event loop', async () => {
  const metrics = await open()
  const end = performance.now() + 60
  while (performance.now() < end);
  const found = Object.fromEntries(
    (await samples(metrics, /^(process|nodejs|hatchway_(event|build))/)).map((line) => [
      line.replace(/ \S+$/, ''),
      Number(line.replace(/^.* /, '')),
    ]),
  )
  expect(found.process_cpu_seconds_total).toBeGreaterThan(0.01)
  expect(found.process_resident_memory_bytes).toBeGreaterThan(10_000_000)
  expect(found.process_open_fds).toBeGreaterThan(2)
  expect(found.process_max_fds).toBeGreaterThanOrEqual(found.process_open_fds ?? 0)
  expect(Math.abs((found.process_start_time_seconds ?? 0) - Date.now() / 1000)).toBeLessThan(3600)
  expect(found.hatchway_event_loop_busy_seconds_total).toBeGreaterThan(0.05)
  expect(found[`hatchway_build_info{version="0.1.0",node="${process.versions.node}"}`]).toBe(1)
})

test('whoever asks for OpenMetrics gets it: counters are named without _total, and the end is marked', async () => {
  const metrics = await open()
  metrics.read({ type: 'connect', connectionId: 'c1', remote })
  const text = await metrics.scrape('text/plain')
  expect(text.type).toBe('text/plain; version=0.0.4; charset=utf-8')
  expect(text.body).toContain('# TYPE hatchway_connections_total counter\nhatchway_connections_total 1\n')
  const prometheus =
    'application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,*/*;q=0.1'
  const open_ = await metrics.scrape(prometheus)
  expect(open_.type).toBe('application/openmetrics-text; version=1.0.0; charset=utf-8')
  expect(open_.body).toContain('# TYPE hatchway_faults counter\nhatchway_faults_total 0\n')
  expect(open_.body).toMatch(/[^\n]\n# EOF\n$/)
  expect(open_.body).not.toContain('\n\n')
  expect(wantsOpenMetrics('application/openmetrics-text;q=0, text/plain')).toBe(false)
  expect(wantsOpenMetrics('*/*')).toBe(false)
  expect(toOpenMetrics('# HELP a_total b\n# TYPE a_total gauge\na_total 1\n')).toBe(
    '# HELP a_total b\n# TYPE a_total gauge\na_total 1\n# EOF\n',
  )
})
