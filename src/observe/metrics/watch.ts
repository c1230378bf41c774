/** What watches the gateway from outside: /metrics, /healthz and /readyz, at the place that the configuration names. */
import type { MetricsPlace } from '../../config/values.ts'
import type { Logger } from '../log.ts'
import type { Readiness } from '../readiness.ts'
import { type Metrics, type MetricsSources, openMetrics } from './metrics.ts'
import { openWatchServer, type WatchAnswer } from './watch-server.ts'

export interface Watch extends Pick<Metrics, 'read' | 'meterCall' | 'times' | 'delivered'> {
  /** "127.0.0.1:9464" */
  readonly place: string
  /** Until then what the sources know is 0. */
  from(sources: Omit<MetricsSources, 'findings'>): void
  close(): Promise<void>
}

/** @throws HatchwayError CONFIG_INVALID */
export async function openWatch(listen: MetricsPlace, readiness: Readiness, log: Logger): Promise<Watch> {
  const metrics = await openMetrics()
  const routes = {
    '/metrics': (accept: string) => {
      // A scrape does not wait for an engine that hangs: it has what was found last.
      void readiness.ask()
      return metrics.scrape(accept)
    },
    '/healthz': () => ({ status: 200, body: 'ok\n' }),
    '/readyz': () => readyAnswer(readiness),
  }
  try {
    const failed = (error: unknown) => log.error({ err: error }, 'what watches the gateway could not be answered')
    const { place, close } = await openWatchServer(listen, routes, failed)
    log.info({ listen: place }, 'serving /metrics, /healthz and /readyz')
    return {
      ...metrics,
      place,
      from: (sources) => metrics.watch({ ...sources, findings: readiness.known }),
      async close() {
        await close()
        metrics.close()
      },
    }
  } catch (error) {
    metrics.close()
    throw error
  }
}

async function readyAnswer(readiness: Readiness): Promise<WatchAnswer> {
  const failing = (await readiness.ask()).filter(({ reason }) => reason !== undefined)
  if (failing.length === 0) return { status: 200, body: 'ready\n' }
  return { status: 503, body: failing.map(({ check, reason }) => `${check}: ${reason}\n`).join('') }
}
