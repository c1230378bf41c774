/**
 * Limits that were asked for and are not there. An engine that cannot limit something (a cgroup controller that is missing,
 * rootless on cgroup v1) makes the container all the same, with a warning at most.
 */
import { z } from 'zod'
import { HatchwayError } from '../base/errors.ts'
import { oneLine } from '../base/printable.ts'
import type { ContainerSpec } from './engine.ts'

const number = z.number().nullish().catch(0)
const inspection = z.object({
  HostConfig: z.object({ Memory: number, NanoCpus: number, CpuQuota: number, CpuPeriod: number, PidsLimit: number }),
})

export type Limits = z.infer<typeof inspection>['HostConfig']

/** The kernel's own, where a quota has none. */
const CPU_PERIOD_US = 100_000
/** Fractions of a CPU are told in whole microseconds. */
const ROUNDING = 1.01

/** What engines say of a limit that they leave out; not of swap, without which memory is limited all the same. */
const LEFT_OUT = /limit[^.]*\.? ?[^.]*\b(discarded|ignored)\b/i

function isLimited(spec: ContainerSpec): boolean {
  return spec.memory !== undefined || spec.cpus !== undefined || spec.pids !== undefined
}

/** Of an inspection. */
export function parseLimits(json: unknown): Limits {
  return inspection.parse(json).HostConfig
}

/**
 * A new container that has not all limits is removed: the next caller that asks for it must not find it.
 *
 * @param made what the engine says that it has
 * @param warnings the engine's words at its making
 * @throws HatchwayError CONTAINER_START_FAILED
 */
export async function limited(
  spec: ContainerSpec,
  made: () => Promise<Limits>,
  warnings: readonly string[],
  remove: () => Promise<void>,
): Promise<void> {
  if (!isLimited(spec)) return
  try {
    demandLimits(spec, await made(), warnings)
  } catch (error) {
    await remove().catch(() => {})
    throw error
  }
}

function demandLimits(spec: ContainerSpec, made: Limits, warnings: readonly string[]): void {
  const { Memory, NanoCpus, CpuQuota, CpuPeriod, PidsLimit } = made
  const quota = ((CpuQuota ?? 0) / (CpuPeriod || CPU_PERIOD_US)) * 1e9
  const missing = [
    ...(holds(Memory, spec.memory) ? [] : ['memory']),
    ...(holds(NanoCpus || quota, spec.cpus && spec.cpus * 1e9 * ROUNDING) ? [] : ['CPUs']),
    ...(holds(PidsLimit, spec.pids) ? [] : ['processes']),
  ]
  const said = warnings.filter((text) => LEFT_OUT.test(text))
  if (missing.length === 0 && said.length === 0) return
  const what = missing.length === 0 ? 'what it uses' : `its ${missing.join(' and ')}`
  throw new HatchwayError(
    'CONTAINER_START_FAILED',
    `container ${spec.name} was not made: the container engine cannot limit ${what} here`,
    { cause: new Error(oneLine(warnings.join('; ')) || 'the engine said nothing of it') },
  )
}

/** No limit is 0, -1 or null; one that is lower than asked limits as well. */
function holds(limit: number | null | undefined, asked: number | undefined): boolean {
  return asked === undefined || (typeof limit === 'number' && limit > 0 && limit <= asked)
}
