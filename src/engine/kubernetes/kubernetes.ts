/** Engine over the Kubernetes API: containers are those of pods, named "container.pod.namespace". It needs `pods/exec` only. */

import { z } from 'zod'
import { HatchwayError } from '../../base/errors.ts'
import { oneLine } from '../../base/printable.ts'
import { BoundedMap } from '../../lifetime/bounded-map.ts'
import { anyOf } from '../../lifetime/deadline.ts'
import { createKeyedSemaphore } from '../../lifetime/semaphore.ts'
import type { Container, Engine, Exec, ExecSpec, OutputSink } from '../engine.ts'
import { createExecAccess } from './access.ts'
import { createCompanions } from './beside.ts'
import { containerOf, nameOf, otherNames, splitName, stateOf, summaryOf } from './describe.ts'
import { kubeEvents } from './events.ts'
import { type ExecPlace, startKubeExec } from './exec.ts'
import { PING_MS } from './exec-socket.ts'
import { whyPodEnded } from './gone.ts'
import { holdStart } from './held-start.ts'
import { createPodIndex, idOf, parseId } from './index.ts'
import { execsInside } from './inside.ts'
import { type ClusterAccess, type KubeChoice, readClusterAccess } from './kubeconfig.ts'
import { createPodLifecycle } from './lifecycle.ts'
import { MADE_CONTAINER } from './made-pod.ts'
import { createLeaseMarks } from './marks.ts'
import { createOwnIdentities, noShell } from './own-identity.ts'
import type { Pod, PodContainer } from './pods.ts'
import { ApiRefusal, createKubeRest, isRefusal } from './rest.ts'

export interface KubernetesEngineOptions {
  readonly access: ClusterAccess
  /** Whose pods are told of; empty: the context's own namespace. */
  readonly namespaces?: readonly string[]
  /** Of a container that is put beside one without a shell. Absent: none is. */
  readonly debugImage?: string | undefined
  readonly callDeadlineMs?: number
  readonly startDeadlineMs?: number
  readonly pingMs?: number
}

/** In one container: more than 16 program starts at once hang containerd's shim. */
const STARTS_AT_ONCE = 8
const START_MS = 30_000
const MAX_BESIDES = 4096

const version = z.object({ gitVersion: z.string() })

/** What the configuration says of it. */
export interface KubernetesChoice extends KubeChoice {
  readonly namespaces?: readonly string[] | undefined
  readonly debugImage?: string | undefined
}

/** @throws HatchwayError CONFIG_INVALID where the kubeconfig cannot be read */
export async function openKubernetesEngine({
  namespaces = [],
  debugImage,
  ...choice
}: KubernetesChoice): Promise<Engine> {
  return createKubernetesEngine({ access: await readClusterAccess(choice), namespaces, debugImage })
}

/** Connects at the first call, so an API server that is down now may come later. */
export function createKubernetesEngine(options: KubernetesEngineOptions): Engine {
  const { access } = options
  const namespaces = options.namespaces?.length ? [...new Set(options.namespaces)] : [access.namespace]
  const rest = createKubeRest(access, options.callDeadlineMs)
  const execAccess = createExecAccess(rest)
  const index = createPodIndex(rest)
  const identities = createOwnIdentities()
  const gate = createKeyedSemaphore({ atOnce: STARTS_AT_ONCE })
  const closed = new AbortController()
  const [home = access.namespace] = namespaces
  const ofMade = { container: MADE_CONTAINER, namespace: home }
  const companions = options.debugImage === undefined ? undefined : createCompanions(rest, options.debugImage, refused)
  /** Containers whose programs start in one beside them. */
  const besides = new BoundedMap<string, { readonly runtimeId: string; readonly name: string }>(MAX_BESIDES)
  /** Programs that we have started, by container. */
  const running = new Map<string, number>()

  function mayExec(namespace: string, signal: AbortSignal): Promise<boolean> {
    return execAccess.mayExec(namespace, signal).catch((error: unknown) => {
      throw refused(error)
    })
  }

  /** The pods of namespaces in which programs may be run; others have none for us. */
  async function podsOf(namespace: string, signal: AbortSignal): Promise<readonly Pod[]> {
    if (!(await mayExec(namespace, signal))) return []
    return index.list(namespace, signal).catch(noneIfRefused)
  }

  async function find(ref: string, signal: AbortSignal): Promise<ExecPlace | undefined> {
    const id = parseId(ref)
    const named = id ? undefined : (splitName(ref) ?? (isPlain(ref) ? { ...ofMade, pod: ref } : undefined))
    const namespace = id?.namespace ?? named?.namespace
    if (namespace === undefined || !namespaces.includes(namespace)) return undefined
    if (!(await mayExec(namespace, signal))) return undefined
    const found = id ? index.known(namespace, id.uid, signal) : index.named(namespace, named?.pod ?? '', signal)
    const pod = await found.catch((error: unknown) => {
      if (isRefusal(error, 403) || isRefusal(error, 404)) return undefined
      throw refused(error)
    })
    const container = id?.container ?? named?.container ?? ''
    // A pod of ours is called as it was made.
    if (isPlain(ref) && !pod?.made) return undefined
    if (!pod?.containers.some(({ name }) => name === container)) return undefined
    return { pod, container, name: nameOf(pod, container) }
  }

  async function must(ref: string, signal: AbortSignal): Promise<ExecPlace> {
    const found = await find(ref, signal)
    if (found === undefined) throw new HatchwayError('CONTAINER_NOT_FOUND', `no container ${oneLine(ref, 80)}`)
    return found
  }

  async function exec(place: ExecPlace, spec: ExecSpec, sink: OutputSink, signal: AbortSignal): Promise<Exec> {
    if (spec.user !== '' || spec.cwd !== '' || spec.env.length > 0) {
      throw new HatchwayError('NOT_SUPPORTED', 'Kubernetes starts programs as the container’s own user only')
    }
    const services = {
      rest,
      gate,
      startDeadlineMs: options.startDeadlineMs ?? START_MS,
      pingMs: options.pingMs ?? PING_MS,
      onGone: index.onGone,
      whyEnded: ({ pod, container, name }: ExecPlace) =>
        whyPodEnded({
          name,
          container,
          before: pod,
          now: (limit) => index.fresh(pod.namespace, pod.uid, limit),
        }),
    }
    try {
      const held = holdStart(spec, sink)
      const program = await startKubeExec(services, place, held.spec, held.sink, anyOf(signal, closed.signal))
      try {
        // The exec went by the pod's name, which another pod may have by now: its programs were not asked for.
        if (!(await index.fresh(place.pod.namespace, place.pod.uid, signal))) throw removed(place)
        held.go(program)
        counted(idOf(place.pod, place.container), program)
        return program
      } catch (error) {
        held.stay(program)
        throw error
      }
    } catch (error) {
      if (!(error instanceof ApiRefusal)) throw error
      if (isForbidden(error)) execAccess.refused(place.pod.namespace)
      throw await notStarted(place, error, signal)
    }
  }

  /** A container without a shell, as the one beside it is; or as one that needs one. */
  async function besideOf(place: ExecPlace, container: PodContainer, signal: AbortSignal): Promise<Container> {
    const { pod } = place
    // A watch may be behind what has just been added.
    const now = companionOf(pod, place.container) ? pod : await index.fresh(pod.namespace, pod.uid, signal)
    const companion = companionOf(now, place.container)
    const id = idOf(pod, place.container)
    if (!companion) {
      besides.delete(id)
      return { ...containerOf(pod, container, undefined), beside: 'needed' }
    }
    const inIt = { ...place, beside: companion.name }
    const start = (spec: ExecSpec, sink: OutputSink, limit: AbortSignal) => exec(inIt, spec, sink, limit)
    const own = await identities.of(companion.runtimeId, start, signal)
    if (own.user === '') throw noShell(`${companion.name} beside ${place.name}`)
    besides.set(id, { runtimeId: container.runtimeId, name: companion.name })
    // Its files are its image's: the container's mounts and its read-only root are not its own.
    return { ...containerOf(pod, container, own), beside: 'used', readOnlyRootfs: false, mounts: [] }
  }

  function throughBeside(place: ExecPlace): ExecPlace {
    const known = besides.get(idOf(place.pod, place.container))
    const runs = place.pod.containers.find(({ name }) => name === place.container)?.runtimeId
    return known && known.runtimeId === runs ? { ...place, beside: known.name } : place
  }

  function counted(id: string, { exit }: Exec): void {
    const add = (more: number) => {
      const now = (running.get(id) ?? 0) + more
      if (now > 0) running.set(id, now)
      else running.delete(id)
    }
    add(1)
    const ended = () => add(-1)
    exit.then(ended, ended)
  }

  async function execs(containerId: string, ours: boolean, signal: AbortSignal): Promise<number> {
    const place = await must(containerId, signal)
    if (notRunning(place.name, place.pod, place.container, undefined)) return 0
    const own = ours ? 0 : (running.get(containerId) ?? 0)
    const start = (spec: ExecSpec, sink: OutputSink, limit: AbortSignal) => exec(place, spec, sink, limit)
    return ((await execsInside(start, signal)) ?? 0) - own
  }

  async function notStarted(place: ExecPlace, error: ApiRefusal, signal: AbortSignal): Promise<unknown> {
    const { name, pod, container } = place
    if (isForbidden(error) || (error.code === 404 && error.reason !== '')) {
      return new HatchwayError('CONTAINER_NOT_FOUND', `no container ${name}`, { cause: error })
    }
    const now = await index.fresh(pod.namespace, pod.uid, signal).catch(() => pod)
    if (now === undefined) return new HatchwayError('CONTAINER_NOT_FOUND', `no container ${name}`, { cause: error })
    return notRunning(name, now, container, error) ?? refused(error)
  }

  return {
    kind: 'kubernetes',
    endpoint: access.server.origin,
    carries: { user: 'none', cwd: false, env: false },

    async info(signal) {
      const answer = await rest.json('GET', '/version', signal).catch((error: unknown) => {
        throw refused(error)
      })
      const { gitVersion } = version.parse(answer)
      return { product: 'kubernetes', version: gitVersion.replace(/^v/, ''), arch: process.arch, local: false }
    },

    async list(signal) {
      const all = await Promise.all(namespaces.map((namespace) => podsOf(namespace, signal)))
      return all.flatMap((pods) => {
        const names = otherNames(pods)
        return pods.flatMap((pod) =>
          pod.containers.map((container) =>
            summaryOf(pod, container, names.get(`${pod.namespace}/${pod.uid}/${container.name}`) ?? []),
          ),
        )
      })
    },

    async inspect(ref, signal) {
      const place = await must(ref, signal)
      const { pod, container } = place
      const found = pod.containers.find(({ name }) => name === container)
      if (!found) throw removed(place)
      if (stateOf(pod, found) !== 'running') return containerOf(pod, found, undefined)
      const start = (spec: ExecSpec, sink: OutputSink, limit: AbortSignal) => exec(place, spec, sink, limit)
      const own = await identities.of(found.runtimeId, start, signal)
      if (own.user !== '') return containerOf(pod, found, own)
      if (companions === undefined) throw noShell(place.name)
      return besideOf(place, found, signal)
    },

    async exec(containerId, spec, sink, signal) {
      const place = await must(containerId, signal)
      const notYet = notRunning(place.name, place.pod, place.container, undefined)
      if (notYet) throw notYet
      return exec(throughBeside(place), spec, sink, signal)
    },

    ...(companions && {
      beside: {
        async add(containerId: string, tell: (words: string) => void, signal: AbortSignal) {
          const place = await must(containerId, signal)
          const now = await index.fresh(place.pod.namespace, place.pod.uid, signal)
          if (companionOf(now, place.container)) return
          await companions.add(place, tell, signal)
        },
      },
    }),

    lifecycle: createPodLifecycle({
      rest,
      namespace: home,
      fresh: ({ namespace, uid }, signal) => index.fresh(namespace, uid, signal),
      learn: index.learn,
      execs,
      failure: refused,
    }),

    marks: createLeaseMarks(rest, home, refused),

    events: (signal) => kubeEvents(rest, index, namespaces, anyOf(signal, closed.signal)),

    async close() {
      closed.abort(new HatchwayError('ENGINE_LOST', 'the gateway is shutting down'))
      rest.close()
    },
  }
}

/** One of ours: another may end any moment, as that of `kubectl debug`. */
function companionOf(pod: Pod | undefined, container: string): Pod['beside'][number] | undefined {
  return pod?.beside.find(({ name, target }) => target === container && /^hatchway-[0-9a-f]{8}$/.test(name))
}

/** Neither an id nor a full name. */
function isPlain(ref: string): boolean {
  return /^[a-z0-9-]+$/.test(ref)
}

/** By the API server itself: a proxy's 403 has no reason. */
function isForbidden({ code, reason }: ApiRefusal): boolean {
  return code === 403 && reason !== ''
}

/** A namespace that is not there, or that nobody tells us of, has no pods. */
function noneIfRefused(error: unknown): readonly Pod[] {
  if (isRefusal(error, 403) || isRefusal(error, 404)) return []
  throw refused(error)
}

function removed({ name }: ExecPlace): HatchwayError {
  return new HatchwayError('CONTAINER_GONE', `container ${name} was removed`)
}

function notRunning(name: string, pod: Pod, container: string, cause: unknown): HatchwayError | undefined {
  const found = pod.containers.find((one) => one.name === container)
  if (!found) return undefined
  const state = stateOf(pod, found)
  if (state === 'running') return undefined
  const words =
    state === 'removing'
      ? 'is being removed'
      : state === 'exited'
        ? 'is stopped'
        : `is not running${found.reason ? ` (${oneLine(found.reason, 60)})` : ''}`
  return new HatchwayError('CONTAINER_NOT_RUNNING', `container ${name} ${words}`, { cause })
}

/** What the API server refuses, as a sentence: 401 is the gateway's own account, which is not the client's business. */
function refused(error: unknown): unknown {
  if (!(error instanceof ApiRefusal)) return error
  const sentence =
    error.code === 401
      ? 'the container engine does not know the gateway (its credentials are not accepted)'
      : 'the container engine refused'
  return new HatchwayError(error.code === 401 ? 'ENGINE_UNAVAILABLE' : 'ENGINE_ERROR', sentence, { cause: error })
}
