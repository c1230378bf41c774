/** Pods and their containers in the words of the seam. */
import type { Container, ContainerState, ContainerSummary } from '../engine.ts'
import { idOf } from './index.ts'
import { MADE_CONTAINER } from './made-pod.ts'
import type { OwnIdentity } from './own-identity.ts'
import type { Pod, PodContainer } from './pods.ts'

/** "main.web-0.shop": a container's name and a namespace's hold no dot, so this means one container. */
export function nameOf(pod: Pick<Pod, 'namespace' | 'name'>, container: string): string {
  return `${container}.${pod.name}.${pod.namespace}`
}

/** What "container.pod.namespace" says; a pod's name may hold dots. */
export function splitName(
  name: string,
): { readonly container: string; readonly pod: string; readonly namespace: string } | undefined {
  const [, container, pod, namespace] = /^([a-z0-9-]+)\.([a-z0-9.-]+)\.([a-z0-9-]+)$/.exec(name) ?? []
  return container && pod && namespace ? { container, pod, namespace } : undefined
}

export function stateOf(pod: Pod, { state, reason }: PodContainer): ContainerState {
  if (pod.leaving) return 'removing'
  if (state === 'running') return 'running'
  if (state === 'terminated') return 'exited'
  return reason === 'CrashLoopBackOff' ? 'restarting' : 'created'
}

export function summaryOf(pod: Pod, container: PodContainer, names: readonly string[]): ContainerSummary {
  return {
    id: idOf(pod, container.name),
    name: nameOf(pod, container.name),
    names,
    ...(pod.made && container.name === MADE_CONTAINER && { madeAs: pod.name }),
    image: container.image,
    state: stateOf(pod, container),
    status: statusOf(pod, container),
    createdAt: Math.floor(pod.createdAt / 1000),
    labels: pod.labels,
    ports: container.ports,
    mounts: container.mounts,
  }
}

export function containerOf(pod: Pod, container: PodContainer, own: OwnIdentity | undefined): Container {
  return {
    id: idOf(pod, container.name),
    name: nameOf(pod, container.name),
    image: container.image,
    state: stateOf(pod, container),
    // Started twice within a second it would be the same, and the id of the run is not.
    startedAt: container.startedAt,
    exitCode: container.exitCode,
    user: own?.user ?? '',
    workdir: own?.workdir || container.workdir,
    env: own && own.env.length > 0 ? own.env : container.env,
    labels: pod.labels,
    addresses: pod.addresses,
    readOnlyRootfs: container.readOnlyRootfs,
    usernsMode: '',
    mounts: container.mounts,
    ...(own?.arch && { arch: own.arch }),
  }
}

/** As `kubectl get pods` says it, with since when. */
function statusOf(pod: Pod, container: PodContainer): string {
  if (pod.leaving) return 'Terminating'
  if (pod.reason) return pod.reason
  if (container.state === 'running') {
    const up = `Up ${spoken(Date.now() - Date.parse(container.startedAt))}`
    return container.ready ? up : `${up} (not ready)`
  }
  return container.reason || pod.phase || 'Unknown'
}

function spoken(milliseconds: number): string {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000)) || 0
  const [value, unit] =
    seconds < 120
      ? [seconds, 'second']
      : seconds < 7200
        ? [Math.floor(seconds / 60), 'minute']
        : seconds < 172_800
          ? [Math.floor(seconds / 3600), 'hour']
          : [Math.floor(seconds / 86_400), 'day']
  return `${value} ${unit}${value === 1 ? '' : 's'}`
}

/**
 * The names that may stand for a container besides its own, of all pods of one namespace: "pod.namespace" for a pod's main
 * container, "owner.namespace" (a Deployment, StatefulSet, ...) for that of its newest ready pod. Where two owners of different
 * kinds are called alike, both have the name, and it means neither.
 */
export function otherNames(pods: readonly Pod[]): ReadonlyMap<string, readonly string[]> {
  const chosen = new Map<string, Pod>()
  for (const pod of pods) {
    const { owner } = pod
    if (!owner || pod.leaving) continue
    const key = `${owner.kind} ${owner.name}`
    const best = chosen.get(key)
    if (best === undefined || isBetter(pod, best)) chosen.set(key, pod)
  }
  const names = new Map<string, string[]>()
  const add = (pod: Pod, name: string) => {
    // A pod that does not say which of its containers is meant: each of them is a candidate, and the name is ambiguous.
    for (const { name: container } of pod.containers) {
      if (pod.main !== undefined && pod.main !== container) continue
      const id = idOf(pod, container)
      const all = names.get(id) ?? []
      names.set(id, [...all, name])
    }
  }
  for (const pod of pods) add(pod, `${pod.name}.${pod.namespace}`)
  for (const pod of chosen.values()) add(pod, `${pod.owner?.name}.${pod.namespace}`)
  return names
}

function isBetter(pod: Pod, than: Pod): boolean {
  if (pod.ready !== than.ready) return pod.ready
  if (pod.createdAt !== than.createdAt) return pod.createdAt > than.createdAt
  return pod.name > than.name
}
