/** A gauge of how many there are now, by their labels; where there were some before and are none it says 0. */
import type { Gauge } from 'prom-client'

export function createTally<L extends string>(gauge: Gauge<L>) {
  const counts = new Map<string, { readonly labels: Record<L, string>; count: number }>()
  return (all: readonly Record<L, string>[]): void => {
    for (const each of counts.values()) each.count = 0
    for (const labels of all) {
      const key = Object.values(labels).join(' ')
      const each = counts.get(key) ?? { labels, count: 0 }
      each.count++
      counts.set(key, each)
    }
    for (const { labels, count } of counts.values()) gauge.set(labels, count)
  }
}
