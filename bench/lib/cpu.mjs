// CPU per run beside the run's time: a busy machine disturbs it least, and it says who pays.
import { setTimeout as delay } from 'node:timers/promises'

/** A child's CPU is its parent's only after it was waited for, and an engine tidies up after an exec. */
const REAPED = 150

/** Runs `run` (which answers something) and what it cost in CPU seconds: `{ result, server?, all }`. */
export async function withCpu(target, run) {
  const before = target.cpu()
  const result = await run()
  await delay(REAPED)
  const after = target.cpu()
  return {
    result,
    // docker exec has no server of its own.
    ...(after.server > 0 && { server: after.server - before.server }),
    all: after.all - before.all,
  }
}

/** Figures of a row whose samples are made by sampleWithCpu(). Means: child processes are counted in ticks of 10 ms. */
export const CPU_FIGURES = [
  { key: 'server', title: '  CPU of the server process', unit: 'ms', mean: true, goals: [] },
  { key: 'all', title: '  CPU of all on the server side', unit: 'ms', mean: true, goals: [] },
]

/** `run` answers milliseconds. */
export async function sampleWithCpu(target, run) {
  const { result, server, all } = await withCpu(target, run)
  return { ms: result, ...(server !== undefined && { server: server * 1000 }), all: all * 1000 }
}
