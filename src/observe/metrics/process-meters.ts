/** The gateway's process, as it is when somebody scrapes. */
import { readdir, readFile } from 'node:fs/promises'
import { type IntervalHistogram, monitorEventLoopDelay, performance } from 'node:perf_hooks'
import type { Meters } from './meters.ts'
import { createRising } from './rising.ts'

/** How often the delay of the event loop is looked at: each time wakes it. */
const RESOLUTION_MS = 100
const NANOSECONDS = 1e9

export interface ProcessMeters {
  collect(): Promise<void>
  close(): void
}

export function openProcessMeters({ process: meters }: Pick<Meters, 'process'>): ProcessMeters {
  const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS })
  delay.enable()
  meters.start.set(performance.timeOrigin / 1000)
  const cpu = createRising(meters.cpu)
  const busy = createRising(meters.busy)

  /** What the histogram has is the time between two ticks of its timer. */
  function lag(nanoseconds: number): number {
    return Number.isFinite(nanoseconds) ? Math.max(0, nanoseconds / NANOSECONDS - RESOLUTION_MS / 1000) : 0
  }

  function collectDelay(from: IntervalHistogram): void {
    meters.lag50.set(lag(from.percentile(50)))
    meters.lag99.set(lag(from.percentile(99)))
    meters.lagMax.set(lag(from.max))
    from.reset()
  }

  return {
    async collect() {
      const { user, system } = process.cpuUsage()
      cpu({}, (user + system) / 1e6)
      busy({}, performance.eventLoopUtilization().active / 1000)
      const { rss, heapUsed, external } = process.memoryUsage()
      meters.memory.set(rss)
      meters.heap.set(heapUsed)
      meters.external.set(external)
      collectDelay(delay)
      const [open, limits] = await Promise.all([
        readdir('/proc/self/fd').catch(() => undefined),
        readFile('/proc/self/limits', 'utf8').catch(() => ''),
      ])
      // Elsewhere than on Linux they stay at 0; the directory's own descriptor is one of them.
      if (open) meters.descriptors.set(open.length - 1)
      const most = /^Max open files\s+(\d+)/m.exec(limits)?.[1]
      if (most !== undefined) meters.maxDescriptors.set(Number(most))
    },
    close: () => void delay.disable(),
  }
}
