/** What is counted and measured, from the gateway's start to its end, and the text that a scrape reads. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { PACKAGE_ROOT } from '../../base/package-root.ts'
import type { MeterCall } from '../../engine/metered.ts'
import type { EventFacts } from '../events.ts'
import type { ReadinessFinding } from '../readiness.ts'
import { countEvents } from './count-events.ts'
import { createMeters } from './meters.ts'
import { OPENMETRICS_TYPE, PROMETHEUS_TYPE, toOpenMetrics, wantsOpenMetrics } from './open-metrics.ts'
import { openProcessMeters } from './process-meters.ts'
import type { WatchAnswer } from './watch-server.ts'

/** What is asked for at a scrape, since it is known elsewhere. */
export interface MetricsSources {
  /** SSH connections that are open, and those of them that have logged in. */
  connections(): { readonly all: number; readonly loggedIn: number }
  findings(): readonly ReadinessFinding[]
}

export interface Metrics {
  readonly read: (event: EventFacts) => void
  readonly meterCall: MeterCall
  /** Until then what the sources know is 0. */
  watch(sources: MetricsSources): void
  /** Answers a scrape. */
  scrape(accept: string): Promise<WatchAnswer>
  close(): void
}

/** Whoever scrapes more often reads the same again: what that costs is bounded. */
const FRESH_MS = 1_000

/** @param freshMs for tests, which do not wait */
export async function openMetrics(freshMs = FRESH_MS): Promise<Metrics> {
  const meters = createMeters()
  const own = openProcessMeters(meters)
  meters.build.set({ version: await ownVersion(), node: process.versions.node }, 1)
  meters.draining.set(0)
  let sources: MetricsSources | undefined
  let last: { readonly text: Promise<string>; until: number } | undefined

  async function collect(): Promise<string> {
    await own.collect()
    if (sources) {
      const { all, loggedIn } = sources.connections()
      meters.connections.set({ state: 'before_login' }, Math.max(0, all - loggedIn))
      meters.connections.set({ state: 'logged_in' }, loggedIn)
      meters.ready.reset()
      for (const { check, reason } of sources.findings()) meters.ready.set({ check }, reason === undefined ? 1 : 0)
    }
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
    read: countEvents(meters),
    meterCall(engine, call) {
      const began = performance.now()
      meters.engineCallsOpen.inc({ engine })
      return (outcome) => {
        meters.engineCallsOpen.dec({ engine })
        meters.engineCalls.inc({ engine, call, outcome })
        meters.engineCallDuration.observe({ engine, call }, (performance.now() - began) / 1000)
      }
    },
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

async function ownVersion(): Promise<string> {
  const { version } = JSON.parse(await readFile(join(PACKAGE_ROOT, 'package.json'), 'utf8'))
  return String(version)
}
