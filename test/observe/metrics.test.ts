/** What events become, and what a scrape reads. */
import { afterEach, expect, test } from 'vitest'
import '../../src/ssh/ssh2.ts'
import { HatchwayError } from '../../src/base/errors.ts'
import type { ForwardFacts } from '../../src/forward/book.ts'
import type { EventFacts } from '../../src/observe/events.ts'
import { type Metrics, type MetricsSources, openMetrics } from '../../src/observe/metrics/metrics.ts'
import { toOpenMetrics, wantsOpenMetrics } from '../../src/observe/metrics/open-metrics.ts'
import type { SessionSnapshot } from '../../src/session/registry.ts'

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

const NOTHING = { bytesIn: 0, bytesOut: 0 }
const SOURCES: MetricsSources = {
  engineKind: () => 'docker',
  engines: () => ({}),
  audit: () => undefined,
  connections: () => ({ all: 0, loggedIn: 0 }),
  traffic: () => ({ session: NOTHING, forward: NOTHING }),
  forwards: () => [],
  listeners: () => [],
  helpers: () => 0,
  queues: () => ({ key_exchanges: 0, passwords: 0, key_programs: 0, session_starts: 0, helper_deliveries: 0 }),
  findings: () => [],
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
  expect(await samples(metrics, /^hatchway_login.* [^ 0]|^hatchway_login.*0\./)).toEqual([
    'hatchway_logins_total{method="publickey"} 1',
    'hatchway_login_refusals_total{method="publickey",reason="not_admitted"} 1',
    'hatchway_login_refusals_total{method="password",reason="wrong"} 1',
    'hatchway_login_refusals_total{method="keyboard-interactive",reason="wrong"} 1',
    'hatchway_login_refusals_total{method="publickey",reason="key"} 1',
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

const whose = { connectionId: 'c1', remote, identity: { name: 'alice', fingerprint: '' }, login: 'dev@web' }
const container = { id: 'a'.repeat(64), name: 'web' }
function session(id: string, start: 'shell' | 'exec', engine?: string): SessionSnapshot {
  const where = { ...container, ...(engine !== undefined && { engine }) }
  return {
    ...{ ...whose, id, container: where, user: 'dev', start, tty: false, state: 'running' },
    ...{ ...NOTHING, activeAt: 0, createdAt: 0 },
  }
}

test('sessions by kind, engine and road, from the start of their program to their end, however they end', async () => {
  const metrics = await open()
  metrics.watch(SOURCES)
  const [one, two, three] = [session('1', 'shell'), session('2', 'exec'), session('3', 'exec', 'east')]
  metrics.read({ type: 'session-started', whose, session: one, road: 'guest' })
  metrics.read({ type: 'session-started', whose, session: two, road: 'plain' })
  metrics.read({ type: 'session-started', whose, session: three, road: 'plain' })
  expect(await samples(metrics, /^hatchway_sessions\{/)).toEqual([
    'hatchway_sessions{kind="shell",engine="docker",road="guest"} 1',
    'hatchway_sessions{kind="exec",engine="docker",road="plain"} 1',
    'hatchway_sessions{kind="exec",engine="east",road="plain"} 1',
  ])
  const failure = new HatchwayError('CONTAINER_GONE', 'gone')
  metrics.read({ type: 'session-ended', whose, session: one, status: { code: 0 } })
  metrics.read({ type: 'session-failed', whose, session: two, failure, ran: {} })
  metrics.read({ type: 'session-failed', whose, session: two, failure, ran: {} })
  // Refused before its program, or before it was a session.
  metrics.read({ type: 'session-failed', whose, session: session('4', 'exec'), failure, ran: {} })
  metrics.read({ type: 'session-failed', whose, failure: new HatchwayError('NOT_PERMITTED', 'no'), ran: {} })
  expect(await samples(metrics, /^hatchway_sessions\{/)).toEqual([
    'hatchway_sessions{kind="shell",engine="docker",road="guest"} 0',
    'hatchway_sessions{kind="exec",engine="docker",road="plain"} 0',
    'hatchway_sessions{kind="exec",engine="east",road="plain"} 1',
  ])
  expect(await samples(metrics, /^hatchway_sessions_started_total.*shell/)).toEqual([
    'hatchway_sessions_started_total{kind="shell",engine="docker",road="guest"} 1',
  ])
  expect(await samples(metrics, /^hatchway_session_failures_total.* [1-9]/)).toEqual([
    'hatchway_session_failures_total{code="CONTAINER_GONE"} 3',
    'hatchway_session_failures_total{code="NOT_PERMITTED"} 1',
  ])
})

test('forwards, listeners, refusals, containers, reloads', async () => {
  const metrics = await open()
  const forward = { kind: 'local', place: 'db:5432', container, user: 'dev', openedAt: 1, ...NOTHING } as const
  metrics.read({ type: 'forward-opened', whose, forward })
  metrics.read({ type: 'forward-opened', whose, forward })
  metrics.read({ type: 'listener-opened', whose, listener: { ...forward, kind: 'agent' } })
  metrics.read({ type: 'forward-failed', whose, kind: 'local', place: 'x', reason: 'Connection refused' })
  const decided = { whose, container, action: { kind: 'exec' }, by: 'rule 1' } as const
  metrics.read({ type: 'refused', ...decided })
  metrics.read({ type: 'withdrawn', ...decided })
  metrics.read({ type: 'container', action: 'made', container })
  metrics.read({ type: 'reload-refused', problems: ['x'] })
  const found = await samples(metrics, /^hatchway_(forward|listener|policy|container|config)/)
  for (const line of [
    'hatchway_forwards_opened_total{kind="local",engine="none",road="guest"} 2',
    'hatchway_listeners_opened_total{kind="agent",engine="none"} 1',
    'hatchway_forward_failures_total{kind="local"} 1',
    'hatchway_policy_refusals_total{action="exec"} 1',
    'hatchway_policy_withdrawals_total{action="exec"} 1',
    'hatchway_container_actions_total{action="made"} 1',
    'hatchway_config_last_reload_successful 0',
  ])
    expect(found).toContain(line)
  metrics.read({ type: 'reloaded', keys: 1, ended: 0, restart: [] })
  expect(await samples(metrics, /successful/)).toEqual(['hatchway_config_last_reload_successful 1'])
})

test('forwards and listeners that are open, by kind, engine and road', async () => {
  const metrics = await open()
  const forward = { kind: 'local', place: 'db:5432', container, user: 'dev' } as const
  let forwards: ForwardFacts[] = [forward, forward, { ...forward, road: 'plain' }]
  const listeners: ForwardFacts[] = [{ ...forward, kind: 'agent', container: { ...container, engine: 'east' } }]
  metrics.watch({ ...SOURCES, forwards: () => forwards, listeners: () => listeners })
  const found = () => samples(metrics, /^hatchway_(forwards|listeners)\{/)
  expect(await found()).toEqual([
    'hatchway_forwards{kind="local",engine="docker",road="guest"} 2',
    'hatchway_forwards{kind="local",engine="docker",road="plain"} 1',
    'hatchway_listeners{kind="agent",engine="east"} 1',
  ])
  forwards = [forward]
  expect((await found()).slice(0, 2)).toEqual([
    'hatchway_forwards{kind="local",engine="docker",road="guest"} 1',
    'hatchway_forwards{kind="local",engine="docker",road="plain"} 0',
  ])
})

test('bytes, helpers and queues are those of now; a sum that would fall waits', async () => {
  const metrics = await open()
  let bytesIn = 10
  metrics.watch({
    ...SOURCES,
    traffic: () => ({ session: { bytesIn, bytesOut: 7 }, forward: NOTHING }),
    helpers: () => 3,
    queues: () => ({ ...SOURCES.queues(), passwords: 5 }),
    audit: () => ({ waitingBytes: 900, lostRecords: 2 }),
  })
  const found = () => samples(metrics, /^hatchway_(bytes|helpers|queue|audit).* [1-9]/)
  expect(await found()).toEqual([
    'hatchway_bytes_total{carrier="session",direction="in"} 10',
    'hatchway_bytes_total{carrier="session",direction="out"} 7',
    'hatchway_helpers 3',
    'hatchway_queue_length{queue="passwords"} 5',
    'hatchway_audit_waiting_bytes 900',
    'hatchway_audit_lost_records_total 2',
  ])
  bytesIn = 9
  expect(await found()).toContain('hatchway_bytes_total{carrier="session",direction="in"} 10')
  bytesIn = 12
  expect(await found()).toContain('hatchway_bytes_total{carrier="session",direction="in"} 12')
})

test('how long people wait: for their container, for a helper, for the first byte', async () => {
  const metrics = await open()
  metrics.times.resolved('exec', 20)
  metrics.times.responded('exec', 'guest', 40)
  metrics.delivered('shell', 300)
  expect(await samples(metrics, /_duration_seconds_sum.*\./)).toEqual([
    'hatchway_resolve_duration_seconds_sum{kind="exec"} 0.02',
    'hatchway_first_byte_duration_seconds_sum{kind="exec",road="guest"} 0.04',
    'hatchway_helper_delivery_duration_seconds_sum{way="shell"} 0.3',
  ])
  const { body } = await metrics.scrape('')
  expect(body).toContain('hatchway_first_byte_duration_seconds_bucket{le="0.05",kind="exec",road="guest"} 1\n')
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
    ...SOURCES,
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
  metrics.watch({ ...SOURCES, engines: () => ({ east: true, west: false }) })
  expect(await samples(metrics, /^hatchway_engine_up/)).toEqual([
    'hatchway_engine_up{engine="east"} 1',
    'hatchway_engine_up{engine="west"} 0',
  ])
})

test('however many scrape at once, and for a moment after, one reading is made', async () => {
  const metrics = await open(200)
  let asked = 0
  metrics.watch({ ...SOURCES, connections: () => ({ all: ++asked, loggedIn: 0 }) })
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
  expect(text.body).toContain('# TYPE hatchway_connections_opened_total counter\nhatchway_connections_opened_total 1\n')
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
