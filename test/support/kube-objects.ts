/** What the tests' API server does about objects that are made and removed: pods, Leases, events; and which verb each request was. */
import type http from 'node:http'

type Json = Record<string, unknown>

export interface KubeObjects {
  /** Refuses a pod that is to be made. */
  admit:
    | ((pod: Json) => { readonly code: number; readonly reason: string; readonly message: string } | undefined)
    | undefined
  /** The status that a pod has as soon as it is made. Absent: it runs. */
  firstStatus: ((pod: Json) => Json) | undefined
  /** What was asked to be made, as it came. */
  readonly made: Json[]
  /** "NAME SECONDS" */
  readonly deleted: string[]
  /** Milliseconds from a DELETE until the pod is gone. */
  deletionMs: number
  readonly leases: Map<string, Json>
  forbidsLeases: boolean
  forbidsEvents: boolean
  readonly events: Json[]
  /** "create pods", "list leases.coordination.k8s.io": as a Role has it. */
  readonly verbs: Set<string>
  /** Containers whose image has nothing to run. */
  readonly withoutShell: Set<string>
  /** Refuses an ephemeral container. */
  noEphemeral: { readonly code: number; readonly reason: string; readonly message: string } | undefined
  /** The state of an ephemeral container as soon as it is added. */
  besideState: Json
  /** A POST of a pod is not answered, though it is made. */
  swallowsPosts: boolean
}

interface Pods {
  readonly pods: Map<string, Json>
  set(pod: Json): void
  remove(name: string): void
}

type Answer = (code: number, body: Json) => void
type Refuse = (code: number, reason: string, message: string) => void

export function kubeObjects(): KubeObjects {
  return {
    ...{ admit: undefined, firstStatus: undefined, made: [], deleted: [], deletionMs: 0, leases: new Map() },
    ...{ forbidsLeases: false, forbidsEvents: false, events: [], verbs: new Set(), swallowsPosts: false },
    ...{
      withoutShell: new Set(),
      noEphemeral: undefined,
      besideState: { running: { startedAt: '2026-01-02T03:05:00Z' } },
    },
  }
}

export function runningStatus(pod: Json): Json {
  const { name } = pod.metadata as { name: string }
  const { containers } = pod.spec as { containers: { name: string }[] }
  return {
    phase: 'Running',
    podIP: '10.1.2.3',
    conditions: [{ type: 'Ready', status: 'True' }],
    containerStatuses: containers.map((one) => ({
      name: one.name,
      ready: true,
      containerID: `containerd://${name}-${one.name}-0`,
      state: { running: { startedAt: '2026-01-02T03:04:06Z' } },
    })),
  }
}

/** As RBAC sees a request. */
export function verbOf(method: string, url: URL): string {
  const [, group, , namespaced = '', loose = ''] =
    /^\/(?:api|apis\/([^/]+))\/(v\d+)(?:\/namespaces\/[^/]+\/(.*)|\/(.*))$/.exec(url.pathname) ?? []
  const [resource = '', name, sub] = (namespaced || loose).split('/')
  const kind = `${resource}${sub === undefined ? '' : `/${sub}`}${group === undefined ? '' : `.${group}`}`
  if (method === 'POST') return `create ${kind}`
  if (method === 'DELETE') return `delete ${kind}`
  if (method === 'PATCH') return `patch ${kind}`
  if (name !== undefined) return `get ${kind}`
  return `${url.searchParams.has('watch') ? 'watch' : 'list'} ${kind}`
}

let uids = 0

/** Returns whether the request was about something that is made or removed. */
export function serveObjects(
  api: KubeObjects & Pods,
  request: http.IncomingMessage,
  url: URL,
  answer: Answer,
  refuse: Refuse,
): boolean {
  const { method = '' } = request
  const [, namespace = '', resource = '', name] =
    /^\/apis?\/(?:[^/]+\/)?v1\/namespaces\/([^/]+)\/(pods|leases|events)(?:\/([^/]+))?$/.exec(url.pathname) ?? []
  const withBody = (use: (body: Json) => void) => {
    let text = ''
    request.on('data', (chunk) => (text += chunk))
    request.on('end', () => use(text === '' ? {} : JSON.parse(text)))
  }
  const [, patched] = /^\/api\/v1\/namespaces\/[^/]+\/pods\/([^/]+)\/ephemeralcontainers$/.exec(url.pathname) ?? []
  if (patched !== undefined && method === 'PATCH') {
    withBody((patch) => {
      const pod = api.pods.get(patched)
      const no = api.noEphemeral
      if (no || !pod) return refuse(no?.code ?? 404, no?.reason ?? 'NotFound', no?.message ?? 'no such pod')
      const strategic = request.headers['content-type'] === 'application/strategic-merge-patch+json'
      if (!strategic) return refuse(415, 'UnsupportedMediaType', 'the body of the request was in an unknown format')
      const { uid } = patch.metadata as { uid: string }
      if (uid !== (pod.metadata as { uid: string }).uid)
        return refuse(409, 'Conflict', 'the UID in the precondition differs')
      const spec = pod.spec as { ephemeralContainers?: Json[] }
      const status = pod.status as { ephemeralContainerStatuses?: Json[] }
      const added = (patch.spec as { ephemeralContainers: Json[] }).ephemeralContainers
      const states = added.map(({ name }) => ({ name, containerID: `containerd://${name}`, state: api.besideState }))
      api.set({
        ...pod,
        spec: { ...spec, ephemeralContainers: [...(spec.ephemeralContainers ?? []), ...added] },
        status: { ...status, ephemeralContainerStatuses: [...(status.ephemeralContainerStatuses ?? []), ...states] },
      })
      answer(200, api.pods.get(patched) ?? {})
    })
    return true
  }
  const missing = () => refuse(404, 'NotFound', `${resource} "${name}" not found`)

  if (resource === 'pods' && method === 'POST') {
    withBody((pod) => {
      api.made.push(pod)
      const meta = pod.metadata as { name: string }
      const no = api.admit?.(pod)
      if (no) return refuse(no.code, no.reason, no.message)
      if (api.pods.has(meta.name)) return refuse(409, 'AlreadyExists', `pods "${meta.name}" already exists`)
      const metadata = { ...meta, namespace, uid: `made-${++uids}`, creationTimestamp: new Date().toISOString() }
      const whole = { ...pod, metadata, spec: { ...(pod.spec as Json), nodeName: 'node1' } }
      api.set({ ...whole, status: (api.firstStatus ?? runningStatus)(whole) })
      if (!api.swallowsPosts) answer(201, api.pods.get(meta.name) ?? {})
    })
    return true
  }
  if (resource === 'pods' && method === 'DELETE') {
    withBody((body) => {
      const pod = api.pods.get(name ?? '')
      if (!pod) return missing()
      const { uid } = pod.metadata as { uid: string }
      const wanted = (body.preconditions as { uid?: string } | undefined)?.uid
      if (wanted !== undefined && wanted !== uid) return refuse(409, 'Conflict', 'the UID in the precondition differs')
      api.deleted.push(`${name} ${body.gracePeriodSeconds}`)
      if (api.deletionMs === 0) api.remove(name ?? '')
      else {
        const metadata = { ...(pod.metadata as Json), deletionTimestamp: new Date().toISOString() }
        api.set({ ...pod, metadata })
        setTimeout(() => api.remove(name ?? ''), api.deletionMs)
      }
      answer(200, pod)
    })
    return true
  }
  if (resource === 'events') {
    if (api.forbidsEvents) refuse(403, 'Forbidden', 'events is forbidden: User "gateway" cannot list resource "events"')
    else answer(200, { items: api.events })
    return true
  }
  if (resource !== 'leases') return false
  if (api.forbidsLeases) {
    request.resume()
    refuse(403, 'Forbidden', 'leases.coordination.k8s.io is forbidden: User "gateway" cannot create resource "leases"')
  } else if (method === 'POST') {
    withBody((lease) => {
      const { name: called } = lease.metadata as { name: string }
      if (api.leases.has(called)) return refuse(409, 'AlreadyExists', `leases "${called}" already exists`)
      api.leases.set(called, lease)
      answer(201, lease)
    })
  } else if (method === 'DELETE') {
    if (api.leases.delete(name ?? '')) answer(200, {})
    else missing()
  } else {
    const label = url.searchParams.get('labelSelector') ?? ''
    const items = [...api.leases.values()].filter(({ metadata }) => {
      const { labels = {} } = metadata as { labels?: Record<string, string> }
      return label in labels
    })
    answer(200, { metadata: {}, items })
  }
  return true
}
