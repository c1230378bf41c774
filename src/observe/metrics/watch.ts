/** What watches the gateway from outside: /metrics, /healthz and /readyz, at the place that the configuration names. */
import { onceFree } from '../../lifetime/once-free.ts'
import type { LocalPlace } from '../../net/local-place.ts'
import type { Logger } from '../log.ts'
import type { Readiness } from '../readiness.ts'
import { type Metrics, type MetricsSources, openMetrics } from './metrics.ts'
import { openWatchServer, type WatchAnswer, type WatchServer } from './watch-server.ts'

export interface Watch extends Pick<Metrics, 'read' | 'meterCall' | 'times' | 'delivered'> {
  /** Until then what the sources know is 0. */
  from(sources: Omit<MetricsSources, 'findings'>): void
  /** Another gateway answers from now on; what is counted here is asked for by nobody. */
  leave(): Promise<void>
  close(): Promise<void>
}

/**
 * @param takesOver the gateway before has the place until this one is ready, which does not wait for it
 * @throws HatchwayError CONFIG_INVALID
 */
export async function openWatch(
  listen: LocalPlace,
  readiness: Readiness,
  log: Logger,
  takesOver = false,
): Promise<Watch> {
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
  const failed = (error: unknown) => log.error({ err: error }, 'what watches the gateway could not be answered')
  const closed = new AbortController()

  async function open(): Promise<WatchServer> {
    const server = await openWatchServer(listen, routes, failed)
    log.info({ listen: server.place }, 'serving /metrics, /healthz and /readyz')
    return server
  }

  const opening = takesOver ? onceFree(open, closed.signal) : open()
  async function leave(): Promise<void> {
    closed.abort()
    await opening.then((server) => server.close()).catch(() => {})
  }
  if (takesOver)
    opening.catch((error: unknown) => {
      if (!closed.signal.aborted) log.error({ err: error }, 'nothing can watch the gateway: its place is taken')
    })
  else
    await opening.catch((error: unknown) => {
      metrics.close()
      throw error
    })
  return {
    ...metrics,
    from: (sources) => metrics.watch({ ...sources, findings: readiness.known }),
    leave,
    async close() {
      await leave()
      metrics.close()
    },
  }
}

async function readyAnswer(readiness: Readiness): Promise<WatchAnswer> {
  const failing = (await readiness.ask()).filter(({ reason }) => reason !== undefined)
  if (failing.length === 0) return { status: 200, body: 'ready\n' }
  return { status: 503, body: failing.map(({ check, reason }) => `${check}: ${reason}\n`).join('') }
}
