/** How both drivers start a holder: what it may take, and its image, which is imported where the engine has not got it. */
import { causeText, messageOf } from '../base/errors.ts'
import { imageMissing } from './messages.ts'

export const HOLDER_LABEL = 'hatchway.holder'

/** A younger one may belong to a gateway that lives; an older one is nobody's (HolderSpec.argv ends before that). */
export const HOLDER_MAX_AGE_S = 90

/**
 * A holder is in no cgroup of the container that it serves, and runs as that container's user: what it may take is little,
 * and its own. An engine that limits nothing on its host (rootless on cgroup v1) says so and goes on.
 */
export const HOLDER_LIMITS = {
  /** The engine's runtime itself needs some 10 MiB of it before the holder's program runs. */
  memoryBytes: 32 * 1024 * 1024,
  pids: 4,
  /** A quarter of one processor, in microseconds. Not NanoCpus, which is an error to Docker on a kernel without CFS quotas. */
  cpuPeriodUs: 100_000,
  cpuQuotaUs: 25_000,
} as const

/**
 * Once more without the limit of processor time where the engine may not set one: systemd hands a rootless engine the
 * controllers memory and pids, and often no cpu.
 */
export async function withCpuLimit<T>(start: (cpu: boolean) => Promise<T>): Promise<T> {
  try {
    return await start(true)
  } catch (error) {
    if (!/controller|cgroup/i.test(causeText(error) || messageOf(error))) throw error
    return start(false)
  }
}

/** More than one: a gateway that ends removes the image, and it is another's as well. */
const IMPORTS = 3

export async function withImage<T>(image: string, start: () => Promise<T>, bring: () => Promise<unknown>): Promise<T> {
  for (let imports = 0; ; imports++) {
    try {
      return await start()
    } catch (error) {
      if (imports >= IMPORTS || !imageMissing(error, image)) throw error
    }
    await bring()
  }
}
