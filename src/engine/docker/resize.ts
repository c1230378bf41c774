/** Sizes of one exec's terminal: one call at a time, and only the last size asked for in between is sent. */

import { setTimeout as delay } from 'node:timers/promises'
import type { WindowSize } from '../../base/program.ts'
import type { DockerApi } from './api.ts'

/** Docker waits up to 10 s for the program to be ready for it. */
const DEADLINE_MS = 12_000

const SETTLE_MS = 250

/** `unordered`: Podman answers before it has acted, and of two quick sizes the first may win; the last is sent again. */
export function createResizer(
  api: DockerApi,
  execId: string,
  unordered: boolean,
  signal: AbortSignal,
): { resize(size: WindowSize): void } {
  let wanted: WindowSize | undefined
  let busy = false

  async function send({ rows, cols }: WindowSize): Promise<void> {
    const path = `/exec/${execId}/resize?h=${clamp(rows)}&w=${clamp(cols)}`
    // Best effort: the program may be over (500, 404), and Podman says 201 where Docker says 200.
    await api.json('POST', path, { signal, deadline: DEADLINE_MS }, () => undefined).catch(() => {})
  }

  async function work(): Promise<void> {
    busy = true
    while (wanted !== undefined && !signal.aborted) {
      const size = wanted
      wanted = undefined
      await send(size)
      if (!unordered) continue
      await delay(SETTLE_MS, undefined, { signal }).catch(() => {})
      if (wanted === undefined) await send(size)
    }
    busy = false
  }

  return {
    resize(size) {
      wanted = size
      if (!busy) void work()
    },
  }
}

/** struct winsize holds 16 bits; Docker would wrap around, Podman refuse. */
function clamp(value: number): number {
  return Math.max(0, Math.min(65_535, Math.trunc(value) || 0))
}
