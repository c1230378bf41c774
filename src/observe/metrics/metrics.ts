/** What is counted and measured, from the gateway's start to its end, and the text that a scrape reads. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { FAILURES, type FailureCode } from '../../base/errors.ts'
import { PACKAGE_ROOT } from '../../base/package-root.ts'
import type { MeterCall } from '../../engine/metered.ts'
import type { ForwardFacts } from '../../forward/book.ts'
import type { SessionTimes } from '../../session/session-times.ts'
import type { EventFacts } from '../events.ts'
import type { ReadinessFinding } from '../readiness.ts'
import { countEvents, forwardLabels, listenerLabels } from './count-events.ts'
import { createMeters, type Meters } from './meters.ts'
import { OPENMETRICS_TYPE, PROMETHEUS_TYPE, toOpenMetrics, wantsOpenMetrics } from './open-metrics.ts'
import { openProcessMeters } from './process-meters.ts'
import { createRising } from './rising.ts'
import { createTally } from './tally.ts'
import type { WatchAnswer } from './watch-server.ts'

/** What is asked for at a scrape, since it is known elsewhere. */
export interface MetricsSources {
  /** Engine.kind of the only one. */
  engineKind(): string
  /** By name, or Engine.kind of the only one: does it answer? */
  engines(): Readonly<Record<string, boolean>>
  /** SSH connections that are open, and those of them that have logged in. */
  connections(): { readonly all: number; readonly loggedIn: number }
  /** Of sessions and forwards, also of those that ended. */
  traffic(): Readonly<Record<'session' | 'forward', { readonly bytesIn: number; readonly bytesOut: number }>>
  /** That are open now. */
  forwards(): Iterable<ForwardFacts>
  listeners(): Iterable<ForwardFacts>
  /** Guest helpers that live. */
  helpers(): number
  queues(): Readonly<Record<QueueName, number>>
  /** Undefined: there is no audit trail. */
  audit(): { readonly waitingBytes: number; readonly lostRecords: number } | undefined
  findings(): readonly ReadinessFinding[]
}

export type QueueName = 'key_exchanges' | 'passwords' | 'key_programs' | 'session_starts' | 'helper_deliveries'

export interface Metrics {
  readonly read: (event: EventFacts) => void
  readonly meterCall: MeterCall
  readonly times: SessionTimes
  readonly delivered: (way: string, milliseconds: number) => void
  /** Until then what the sources know is 0. */
  watch(sources: MetricsSources): void
  /** Answers a scrape. */
  scrape(accept: string): Promise<WatchAnswer>
  close(): void
}

/** Whoever scrapes more often reads the same again: what that costs is bounded. */
const FRESH_MS = 1_000
const METHODS = ['publickey', 'password', 'keyboard-interactive'] as const
/** As src/guest/deliver has them. */
const WAYS = ['mount', 'shell', 'copy', 'holder', 'none'] as const
const DROPS: Readonly<Record<Extract<EventFacts, { type: 'drop' }>['reason'], 0>> = {
  ...{ 'max-startups': 0, 'per-source-max-startups': 0, penalty: 0, 'refuse-connection': 0, descriptors: 0 },
  ...{ 'proxy-header': 0, 'proxy-request': 0, arrival: 0, accept: 0 },
}

/** @param freshMs for tests, which do not wait */
export async function openMetrics(freshMs = FRESH_MS): Promise<Metrics> {
  const meters = createMeters()
  const own = openProcessMeters(meters)
  meters.build.set({ version: await ownVersion(), node: process.versions.node }, 1)
  beginAtZero(meters)
  const traffic = createRising(meters.bytes)
  const auditLost = createRising(meters.auditLost)
  const [forwards, listeners] = [createTally(meters.forwards), createTally(meters.listeners)]
  let sources: MetricsSources | undefined
  let last: { readonly text: Promise<string>; until: number } | undefined

  function collectFrom(given: MetricsSources): void {
    const { all, loggedIn } = given.connections()
    meters.connections.set({ state: 'before_login' }, Math.max(0, all - loggedIn))
    meters.connections.set({ state: 'logged_in' }, loggedIn)
    for (const [carrier, { bytesIn, bytesOut }] of Object.entries(given.traffic())) {
      traffic({ carrier, direction: 'in' }, bytesIn)
      traffic({ carrier, direction: 'out' }, bytesOut)
    }
    forwards(Array.from(given.forwards(), (one) => forwardLabels(one, given.engineKind)))
    listeners(Array.from(given.listeners(), (one) => listenerLabels(one, given.engineKind)))
    meters.helpers.set(given.helpers())
    for (const [queue, length] of Object.entries(given.queues())) meters.queues.set({ queue }, length)
    const audit = given.audit()
    if (audit) {
      meters.auditWaiting.set(audit.waitingBytes)
      auditLost({}, audit.lostRecords)
    }
    meters.engineUp.reset()
    for (const [engine, answers] of Object.entries(given.engines())) meters.engineUp.set({ engine }, answers ? 1 : 0)
    meters.ready.reset()
    for (const { check, reason } of given.findings()) meters.ready.set({ check }, reason === undefined ? 1 : 0)
  }

  async function collect(): Promise<string> {
    await own.collect()
    if (sources) collectFrom(sources)
    return meters.registry.metrics()
  }

  function text(): Promise<string> {
    if (last && last.until > performance.now()) return last.text
    const made = { text: collect(), until: Number.POSITIVE_INFINITY }
    last = made
    const over = () => {
      made.until = performance.now() + freshMs
    }
    made.text.then(over, over)
    return made.text
  }

  return {
    read: countEvents(meters, () => sources?.engineKind() ?? 'none'),
    meterCall(engine, call) {
      const began = performance.now()
      meters.engineCallsOpen.inc({ engine })
      return (outcome) => {
        meters.engineCallsOpen.dec({ engine })
        meters.engineCalls.inc({ engine, call, outcome })
        meters.engineCallDuration.observe({ engine, call }, (performance.now() - began) / 1000)
      }
    },
    times: {
      resolved: (kind, milliseconds) => meters.resolveDuration.observe({ kind }, milliseconds / 1000),
      responded: (kind, road, milliseconds) => meters.firstByteDuration.observe({ kind, road }, milliseconds / 1000),
    },
    delivered: (way, milliseconds) => meters.deliveryDuration.observe({ way }, milliseconds / 1000),
    watch(given) {
      sources = given
    },
    async scrape(accept) {
      const found = await text()
      return wantsOpenMetrics(accept)
        ? { status: 200, type: OPENMETRICS_TYPE, body: toOpenMetrics(found) }
        : { status: 200, type: PROMETHEUS_TYPE, body: found }
    },
    close: () => own.close(),
  }
}

/** A counter that begins with its first event shows no increase by it: rate() needs the 0 before. */
function beginAtZero(meters: Meters): void {
  meters.draining.set(0)
  meters.reloaded.set(1)
  for (const method of METHODS) {
    meters.logins.inc({ method }, 0)
    for (const reason of ['wrong', 'not_admitted']) meters.loginRefusals.inc({ method, reason }, 0)
  }
  for (const reason of Object.keys(DROPS)) meters.drops.inc({ reason }, 0)
  for (const way of WAYS) meters.deliveryDuration.zero({ way })
  for (const code of Object.keys(FAILURES) as FailureCode[]) meters.sessionFailures.inc({ code }, 0)
}

async function ownVersion(): Promise<string> {
  const { version } = JSON.parse(await readFile(join(PACKAGE_ROOT, 'package.json'), 'utf8'))
  return String(version)
}
