/** What is known of the pods of all namespaces: followed by watches while somebody follows the engine's events, else asked. */
import { BoundedMap } from '../../lifetime/bounded-map.ts'
import { listPods, readPod } from './list.ts'
import type { Pod } from './pods.ts'
import type { KubeRest } from './rest.ts'

/** A container's place: what its id says, and what its pod is called. */
export interface Place {
  readonly namespace: string
  readonly uid: string
  readonly container: string
}

export function idOf(pod: Pick<Pod, 'namespace' | 'uid'>, container: string): string {
  return `${pod.namespace}/${pod.uid}/${container}`
}

export function parseId(id: string): Place | undefined {
  const [namespace, uid, container, ...rest] = id.split('/')
  return namespace && uid && container && rest.length === 0 ? { namespace, uid, container } : undefined
}

const MAX_NAMES = 20_000

export interface PodIndex {
  /** All pods of a namespace. @throws HatchwayError ENGINE_*, ApiRefusal */
  list(namespace: string, signal: AbortSignal): Promise<readonly Pod[]>
  /** As the API server has it now. Undefined: it is gone. */
  fresh(namespace: string, uid: string, signal: AbortSignal): Promise<Pod | undefined>
  /** As far as it is known; may be late. */
  known(namespace: string, uid: string, signal: AbortSignal): Promise<Pod | undefined>
  /** By its name, as far as it is known. */
  named(namespace: string, name: string, signal: AbortSignal): Promise<Pod | undefined>
  /** Just made by us. */
  learn(pod: Pod): void
  /** From a watch: the namespace is followed until `unfollow`. */
  replace(namespace: string, pods: readonly Pod[]): void
  /** From a watch. Returns the pod as it was known before. */
  change(pod: Pod, gone: boolean): Pod | undefined
  unfollow(namespace: string): void
  /** Calls `gone` once, when a followed pod is no longer there. Returns what forgets it. */
  onGone(uid: string, gone: () => void): () => void
}

export function createPodIndex(rest: KubeRest): PodIndex {
  const followed = new Map<string, Map<string, Pod>>()
  const names = new BoundedMap<string, string>(MAX_NAMES)
  const listeners = new Map<string, Set<() => void>>()

  function remember(pods: readonly Pod[]): readonly Pod[] {
    for (const { uid, name } of pods) names.set(uid, name)
    return pods
  }

  function tellGone(uid: string): void {
    const all = listeners.get(uid)
    listeners.delete(uid)
    for (const gone of all ?? []) gone()
  }

  async function list(namespace: string, signal: AbortSignal): Promise<readonly Pod[]> {
    signal.throwIfAborted()
    const here = followed.get(namespace)
    return here ? [...here.values()] : remember((await listPods(rest, namespace, signal)).pods)
  }

  async function fresh(namespace: string, uid: string, signal: AbortSignal): Promise<Pod | undefined> {
    const name = names.get(uid) ?? followed.get(namespace)?.get(uid)?.name
    if (name === undefined) {
      return remember((await listPods(rest, namespace, signal)).pods).find((pod) => pod.uid === uid)
    }
    const found = await readPod(rest, namespace, name, signal)
    // Another pod has that name by now: one of a StatefulSet that was made again.
    return found?.uid === uid ? found : undefined
  }

  return {
    list,
    fresh,
    async known(namespace, uid, signal) {
      signal.throwIfAborted()
      return followed.get(namespace)?.get(uid) ?? fresh(namespace, uid, signal)
    },
    async named(namespace, name, signal) {
      signal.throwIfAborted()
      const here = followed.get(namespace)
      if (here) return [...here.values()].find((pod) => pod.name === name)
      const found = await readPod(rest, namespace, name, signal)
      if (found) remember([found])
      return found
    },
    learn: (pod) => void remember([pod]),
    replace(namespace, pods) {
      const before = followed.get(namespace) ?? new Map<string, Pod>()
      const now = new Map(remember(pods).map((pod) => [pod.uid, pod]))
      followed.set(namespace, now)
      for (const uid of before.keys()) if (!now.has(uid)) tellGone(uid)
    },
    change(pod, gone) {
      const here = followed.get(pod.namespace)
      const before = here?.get(pod.uid)
      remember([pod])
      if (!gone) here?.set(pod.uid, pod)
      else {
        here?.delete(pod.uid)
        tellGone(pod.uid)
      }
      return before
    },
    unfollow: (namespace) => void followed.delete(namespace),
    onGone(uid, gone) {
      const all = listeners.get(uid) ?? new Set()
      listeners.set(uid, all)
      all.add(gone)
      return () => {
        all.delete(gone)
        if (all.size === 0 && listeners.get(uid) === all) listeners.delete(uid)
      }
    },
  }
}
