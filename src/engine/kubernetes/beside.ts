/**
 * Ephemeral containers: an image of the operator's beside a container in which nothing of ours can start, in its process namespace.
 * Its programs see the container's files under /proc/PID/root. The API has no way to take one out of a pod again.
 */
import { randomBytes } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { HatchwayError } from '../../base/errors.ts'
import { deadline } from '../../lifetime/deadline.ts'
import { unlessAborted } from '../../lifetime/on-abort.ts'
import { engineLimit } from '../messages.ts'
import { OWN_SHELL } from '../own-path.ts'
import { comingOf, whyNotMade } from './coming.ts'
import type { ExecPlace } from './exec.ts'
import { idOf } from './index.ts'
import { podsPath } from './list.ts'
import { parsePod } from './pods.ts'
import { ApiRefusal, type KubeRest } from './rest.ts'

/** A pull of the image included. */
const LIMIT_MS = 120_000
const POLL_MS = 500

/** Ends at once on TERM, and reaps what sessions leave behind where it is process 1. */
const WAIT = [OWN_SHELL, '-c', "trap 'exit 0' TERM INT; while :; do sleep 86400 & wait $!; done"]

export interface Companions {
  /** Adds one and waits until it runs; one for all who ask at the same time. @throws HatchwayError */
  add(place: ExecPlace, tell: (words: string) => void, signal: AbortSignal): Promise<void>
}

export function createCompanions(rest: KubeRest, image: string, failure: (error: unknown) => unknown): Companions {
  const adding = new Map<string, Promise<void>>()

  async function addOne(place: ExecPlace, tell: (words: string) => void): Promise<void> {
    const signal = deadline(engineLimit('starting a container beside another', LIMIT_MS))
    const { pod, name } = place
    const path = `${podsPath(pod.namespace)}/${encodeURIComponent(pod.name)}`
    const own = `hatchway-${randomBytes(4).toString('hex')}`
    const ephemeral = {
      ...{ name: own, image, command: WAIT, targetContainerName: place.container },
      // Whose /proc/PID/root is another user's, or has more rights, is nobody else's without it.
      securityContext: { capabilities: { add: ['SYS_PTRACE'] } },
    }
    // Another pod that has the name by now refuses the uid.
    const patch = { metadata: { uid: pod.uid }, spec: { ephemeralContainers: [ephemeral] } }
    await rest.json('PATCH', `${path}/ephemeralcontainers`, signal, patch).catch((error: unknown) => {
      throw notAdded(name, error)
    })
    let told = ''
    let pullError: string | undefined
    for (;;) {
      const json = await rest.json('GET', path, signal).catch((error: unknown) => {
        throw failure(error)
      })
      if (parsePod(json)?.uid !== pod.uid) throw new HatchwayError('CONTAINER_GONE', `container ${name} was removed`)
      const coming = comingOf(json, `${own} beside ${name}`, own, pullError)
      if (coming.state === 'running') return
      if (coming.state === 'failed') throw coming.error
      pullError = coming.pullError ?? pullError
      if (coming.words !== told) tell(coming.words)
      told = coming.words
      await delay(POLL_MS, undefined, { signal }).catch(() => signal.throwIfAborted())
    }
  }

  function notAdded(name: string, error: unknown): unknown {
    if (!(error instanceof ApiRefusal) || error.code === 401 || error.code >= 500) return failure(error)
    const why =
      error.code === 404
        ? 'the cluster has no ephemeral containers (Kubernetes 1.25 has), or the pod is gone'
        : error.code === 403 && /cannot (patch|update) /.test(error.message)
          ? 'the gateway may not add one'
          : whyNotMade(error.message)
    const sentence = `nothing can be started beside container ${name}: ${why}`
    return new HatchwayError('NOT_SUPPORTED', sentence, { cause: error })
  }

  return {
    add(place, tell, signal) {
      const id = idOf(place.pod, place.container)
      let added = adding.get(id)
      if (!added) {
        // Others wait for it, too: nobody's leaving ends it.
        added = addOne(place, tell).finally(() => adding.delete(id))
        adding.set(id, added)
      }
      return unlessAborted(added, signal)
    },
  }
}
