/** Sizes of one exec's terminal: one call at a time, and only the last size asked for in between is sent. */
import type { DockerApi } from './docker-api.ts'
import type { WindowSize } from './engine.ts'

/** Docker waits up to 10 s for the program to be ready for it. */
const DEADLINE = 12_000

export function createResizer(api: DockerApi, execId: string, signal: AbortSignal): { resize(size: WindowSize): void } {
  let wanted: WindowSize | undefined
  let busy = false

  async function work(): Promise<void> {
    busy = true
    while (wanted !== undefined && !signal.aborted) {
      const { rows, cols } = wanted
      wanted = undefined
      const path = `/exec/${execId}/resize?h=${clamp(rows)}&w=${clamp(cols)}`
      // Best effort: the program may be over (500, 404), and Podman says 201 where Docker says 200.
      await api.json('POST', path, { signal, deadline: DEADLINE }, () => undefined).catch(() => {})
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
