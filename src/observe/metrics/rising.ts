/** A counter of what is added up elsewhere: it takes the sum of now. */
import type { Counter } from 'prom-client'

export function createRising<L extends string>(counter: Counter<L>) {
  const last = new Map<string, number>()
  /** A sum that falls, as none should, is waited for. */
  return (labels: Partial<Record<L, string>>, sum: number): void => {
    const key = Object.values(labels).join(' ')
    const before = last.get(key) ?? 0
    if (sum < before) return
    counter.inc(labels, sum - before)
    last.set(key, sum)
  }
}
