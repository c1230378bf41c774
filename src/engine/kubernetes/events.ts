/** What happens to containers, told from the watches of all namespaces: starts, ends, pods that come and go. */
import type { EngineEvent } from '../engine.ts'
import { idOf, type PodIndex } from './index.ts'
import { merged } from './merged.ts'
import type { Pod } from './pods.ts'
import type { KubeRest } from './rest.ts'
import { type PodChange, watchPods } from './watch.ts'

export async function* kubeEvents(
  rest: KubeRest,
  index: PodIndex,
  namespaces: readonly string[],
  signal: AbortSignal,
): AsyncGenerator<EngineEvent> {
  const lost = new Set<string>()
  const each = namespaces.map((namespace) => tagged(namespace, watchPods(rest, namespace, signal)))
  try {
    for await (const { namespace, change } of merged(each, signal)) {
      if (change.type === 'lost') {
        index.unfollow(namespace)
        const first = lost.size === 0
        lost.add(namespace)
        if (first) yield { type: 'lost', error: change.error }
        continue
      }
      if (change.type === 'all') {
        index.replace(namespace, change.pods)
        // What was missed is asked for anew; the first list misses nothing.
        if (lost.delete(namespace) || change.again) yield { type: 'reconnected' }
      } else {
        const before = index.change(change.pod, change.gone)
        yield* eventsOf(before, change.gone ? undefined : change.pod)
      }
    }
  } finally {
    for (const namespace of namespaces) index.unfollow(namespace)
  }
}

async function* tagged(namespace: string, changes: AsyncIterable<PodChange>) {
  for await (const change of changes) yield { namespace, change }
}

/** In the words of Docker's events: what listens knows those. */
export function* eventsOf(before: Pod | undefined, now: Pod | undefined): Generator<EngineEvent> {
  const pod = now ?? before
  if (pod === undefined) return
  for (const { name } of pod.containers) {
    const id = idOf(pod, name)
    const was = before?.containers.find((one) => one.name === name)
    const is = now?.containers.find((one) => one.name === name)
    const ranOn = was?.state === 'running' && is?.state === 'running' && was.runtimeId === is.runtimeId
    if (was?.state === 'running' && !ranOn) yield { type: 'container', action: 'die', id }
    if (is?.state === 'running' && !ranOn) yield { type: 'container', action: 'start', id }
    if (now === undefined) yield { type: 'container', action: 'destroy', id }
    else if (before === undefined) yield { type: 'container', action: 'create', id }
    else if (ranOn || was?.state === is?.state) yield { type: 'container', action: 'update', id }
  }
}
