/**
 * Pods that the gateway makes (docs/kubernetes.md). A pod comes up by itself and is never started again: what would stop a container
 * removes it.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { HatchwayError } from '../../base/errors.ts'
import { oneLine } from '../../base/printable.ts'
import { deadline } from '../../lifetime/deadline.ts'
import { isAway } from '../ending.ts'
import type { ContainerSpec, Lifecycle } from '../engine.ts'
import { comingOf, latestEvent, whyNotMade } from './coming.ts'
import { nameOf } from './describe.ts'
import { idOf, type Place, parseId } from './index.ts'
import { podsPath, readPod } from './list.ts'
import { MADE_CONTAINER, podToMake } from './made-pod.ts'
import { type Pod, parsePod } from './pods.ts'
import { ApiRefusal, isRefusal, type KubeRest } from './rest.ts'

export interface PodLifecycleServices {
  readonly rest: KubeRest
  /** Where pods are made. */
  readonly namespace: string
  /** As the API server has it now. Undefined: it is gone. @throws ApiRefusal, HatchwayError ENGINE_* */
  fresh(place: Place, signal: AbortSignal): Promise<Pod | undefined>
  /** Its pod is known from now on. */
  learn(pod: Pod): void
  /** Programs that execs started in it, ours not counted where `ours` is false. @throws HatchwayError */
  execs(containerId: string, ours: boolean, signal: AbortSignal): Promise<number>
  /** What the API server refuses, as a sentence. */
  failure(error: unknown): unknown
}

const POLL_MS = 500
const EVENTS_MS = 2_000
const AWAY_MS = 30_000
/** Of a removal that is under way: the cluster sees to it. */
const GONE_MS = 15_000
const GONE_POLL_MS = 200
/** A kubelet that is told to kill at once leaves the pod's end to be found out. */
const KILL_GRACE_S = 1

export function createPodLifecycle(services: PodLifecycleServices): Lifecycle {
  const { rest, namespace, failure } = services

  function pathOf(name: string, of = namespace): string {
    return `${podsPath(of)}/${encodeURIComponent(name)}`
  }

  async function create(spec: ContainerSpec, signal: AbortSignal): Promise<string> {
    const json = podToMake(spec)
    for (;;) {
      try {
        const pod = parsePod(await rest.json('POST', podsPath(namespace), signal, json))
        if (!pod) throw new HatchwayError('ENGINE_ERROR', 'the container engine gave an answer that is no pod')
        services.learn(pod)
        return idOf(pod, MADE_CONTAINER)
      } catch (error) {
        if (!isRefusal(error, 409)) throw notMade(spec.name, error)
        const there = await readPod(rest, namespace, spec.name, signal)
        // What is being removed has the name until it is gone.
        if (there && !there.leaving) throw taken(spec.name, error)
        if (there) await gone(there, signal)
      }
    }
  }

  function notMade(name: string, error: unknown): unknown {
    if (!(error instanceof ApiRefusal) || error.code === 401 || error.code >= 500) return failure(error)
    // Whose account it is that may not is for the log.
    const isOurs = error.code === 403 && /cannot (create|use) /.test(error.message)
    const why = isOurs ? `the gateway may not make pods in namespace ${namespace}` : whyNotMade(error.message)
    return new HatchwayError('CONTAINER_START_FAILED', `container ${name} cannot be made: ${why}`, { cause: error })
  }

  /** Resolves when this very pod is there no more. @throws the signal's reason */
  async function gone({ namespace: of, name, uid }: Pod, signal: AbortSignal): Promise<void> {
    for (;;) {
      const now = await readPod(rest, of, name, signal)
      if (now?.uid !== uid) return
      await delay(GONE_POLL_MS, undefined, { signal }).catch(() => signal.throwIfAborted())
    }
  }

  /** Undefined: it is gone, or none of ours. */
  async function find(ref: string, signal: AbortSignal): Promise<Pod | undefined> {
    const place = parseId(ref)
    if (place) return services.fresh(place, signal)
    const found = await readPod(rest, namespace, ref, signal)
    return found?.made ? found : undefined
  }

  async function remove(ref: string, graceSeconds: number, signal: AbortSignal): Promise<void> {
    try {
      const pod = await find(ref, signal)
      if (!pod) return
      const body = { gracePeriodSeconds: graceSeconds, preconditions: { uid: pod.uid } }
      // Another pod has its name, or it is gone: 409 and 404.
      await rest.json('DELETE', pathOf(pod.name, pod.namespace), signal, body).catch((error: unknown) => {
        if (!isRefusal(error, 404) && !isRefusal(error, 409)) throw error
      })
      const patience = deadline(graceSeconds * 1000 + GONE_MS, signal)
      await gone(pod, patience).catch((error: unknown) => {
        if (!patience.aborted || signal.aborted) throw error
      })
    } catch (error) {
      throw failure(error)
    }
  }

  async function comesUp(id: string, tell: (words: string) => void, signal: AbortSignal): Promise<void> {
    const place = must(id)
    const known = await podOf(place, signal)
    const seen = { words: '', event: '' }
    let pullError: string | undefined
    let asked = Number.NEGATIVE_INFINITY
    let mayAsk = true
    const say = (kind: keyof typeof seen, words: string) => {
      if (words === seen[kind]) return
      seen[kind] = words
      tell(words)
    }
    for (;;) {
      const json = await patiently(() => read(known, signal), signal)
      const coming = comingOf(json, nameOf(known, place.container), place.container, pullError)
      if (coming.state === 'running') return
      if (coming.state === 'failed') throw coming.error
      pullError = coming.pullError ?? pullError
      say('words', coming.words)
      if (coming.quiet && mayAsk && performance.now() - asked >= EVENTS_MS) {
        asked = performance.now()
        const event = await lastEvent(place, signal)
        if (event === null) mayAsk = false
        else if (event !== undefined) say('event', event)
      }
      await delay(POLL_MS, undefined, { signal }).catch(() => signal.throwIfAborted())
    }
  }

  /** null: nobody tells us. */
  async function lastEvent({ namespace: of, uid }: Place, signal: AbortSignal): Promise<string | undefined | null> {
    const query = new URLSearchParams({ fieldSelector: `involvedObject.uid=${uid}`, limit: '100' })
    try {
      return latestEvent(await rest.json('GET', `/api/v1/namespaces/${encodeURIComponent(of)}/events?${query}`, signal))
    } catch (error) {
      signal.throwIfAborted()
      // Without them less is told.
      return error instanceof ApiRefusal ? null : undefined
    }
  }

  async function podOf(place: Place, signal: AbortSignal): Promise<Pod> {
    const found = await services.fresh(place, signal).catch((error: unknown) => Promise.reject(failure(error)))
    if (found) return found
    throw new HatchwayError('CONTAINER_NOT_FOUND', 'the container is gone')
  }

  /** An API server that restarts meanwhile is no reason to give up what comes up without it. */
  async function patiently<T>(ask: () => Promise<T>, signal: AbortSignal): Promise<T> {
    const end = performance.now() + AWAY_MS
    for (;;) {
      try {
        return await ask()
      } catch (error) {
        if (signal.aborted || !isAway(error) || performance.now() > end) throw error
        await delay(POLL_MS, undefined, { signal }).catch(() => signal.throwIfAborted())
      }
    }
  }

  async function read({ namespace: of, name, uid }: Pod, signal: AbortSignal): Promise<unknown> {
    try {
      const json = await rest.json('GET', pathOf(name, of), signal)
      if (parsePod(json)?.uid === uid) return json
    } catch (error) {
      if (!isRefusal(error, 404)) throw failure(error)
    }
    throw new HatchwayError('CONTAINER_GONE', `container ${name} was removed`)
  }

  async function inside(id: string, ours: boolean, signal: AbortSignal): Promise<boolean> {
    return (await services.execs(id, ours, signal)) > 0
  }

  return {
    create,
    comesUp,
    start: (id, signal) => comesUp(id, () => {}, signal),
    remove: (ref, signal) => remove(ref, KILL_GRACE_S, signal),
    stop: (id, grace, signal) => remove(id, grace, signal),
    othersInside: (id, signal) => inside(id, false, signal),
    anyInside: (id, signal) => inside(id, true, signal),
    async logs(id, _lines, signal) {
      const place = must(id)
      const { containers } = await podOf(place, signal)
      return containers.find(({ name }) => name === place.container)?.message ?? ''
    },
    unpause: () => Promise.reject(unheard('unpaused')),
    pull: () => Promise.reject(unheard('pulled for')),
  }
}

function must(id: string): Place {
  const place = parseId(id)
  if (place) return place
  throw new HatchwayError('CONTAINER_NOT_FOUND', `no container ${oneLine(id, 80)}`)
}

/** In the words by which it is known (messages.ts `isNameTaken`). */
function taken(name: string, cause: unknown): HatchwayError {
  const words = new Error(`the name ${name} is already in use`, { cause })
  return new HatchwayError('CONTAINER_START_FAILED', `there is another pod ${name}`, { cause: words })
}

function unheard(what: string): HatchwayError {
  return new HatchwayError('NOT_SUPPORTED', `a pod cannot be ${what}`)
}
