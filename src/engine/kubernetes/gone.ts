/** Why a program ended with its container, or its node: the pod was deleted, evicted, ran out of memory, was restarted. */
import { setTimeout as delay } from 'node:timers/promises'
import { HatchwayError } from '../../base/errors.ts'
import { oneLine } from '../../base/printable.ts'
import { deadline } from '../../lifetime/deadline.ts'
import { isAway } from '../ending.ts'
import { engineLost } from '../messages.ts'
import type { Pod } from './pods.ts'

export interface Ended {
  readonly name: string
  readonly container: string
  /** As it was when the program was started. */
  readonly before: Pod
  /** As the API server has it now; undefined: it is gone. */
  now(signal: AbortSignal): Promise<Pod | undefined>
}

/** The kubelet tells of a container's end about a second after the end itself. */
const LOOKS_MS = [0, 200, 500, 1000] as const
const LOOK_MS = 5_000
/** 128 and SIGKILL. */
const KILLED = 137

/** undefined: the container runs on untouched, so the program ended by itself; or nobody can tell. */
export async function whyPodEnded({ name, container, before, now }: Ended): Promise<HatchwayError | undefined> {
  const was = before.containers.find((one) => one.name === container)
  try {
    for (const wait of LOOKS_MS) {
      if (wait > 0) await delay(wait)
      const pod = await now(deadline(LOOK_MS))
      if (pod === undefined) return gone(name, 'was removed')
      if (pod.reason === 'Evicted') return gone(name, 'was evicted from its node')
      if (pod.leaving) return gone(name, 'was removed')
      const is = pod.containers.find((one) => one.name === container)
      if (is === undefined) return gone(name, 'was removed')
      if (is.state === 'running' && is.runtimeId === was?.runtimeId) continue
      const reason = is.state === 'terminated' ? is.reason : is.lastReason
      if (reason === 'OOMKilled') return gone(name, 'ran out of memory')
      if (is.state === 'terminated') return gone(name, is.exitCode === KILLED ? 'was killed' : 'ended')
      return gone(name, 'was restarted')
    }
  } catch (error) {
    if (isAway(error)) return engineLost(error)
  }
  return undefined
}

function gone(name: string, how: string): HatchwayError {
  return new HatchwayError('CONTAINER_GONE', `container ${oneLine(name, 80)} ${how}`)
}
