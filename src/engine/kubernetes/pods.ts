/** Pods as the API server tells of them, narrowed to what a login needs. Names and labels are other people's text. */
import { z } from 'zod'

export interface PodContainer {
  readonly name: string
  readonly image: string
  /** Of its run: "containerd://..."; "" before the first. */
  readonly runtimeId: string
  readonly state: 'running' | 'waiting' | 'terminated'
  /** ImagePullBackOff, CrashLoopBackOff, OOMKilled, Completed, ... */
  readonly reason: string
  /** Of its end: the last of what it wrote, where it failed. */
  readonly message: string
  readonly exitCode: number
  readonly startedAt: string
  readonly ready: boolean
  readonly restarts: number
  /** Why its last run ended: OOMKilled, Error, ...; "" where there was none. */
  readonly lastReason: string
  readonly readOnlyRootfs: boolean
  readonly env: readonly string[]
  readonly workdir: string
  readonly mounts: readonly {
    readonly source: string
    readonly destination: string
    readonly readOnly: boolean
    readonly type: string
  }[]
  readonly ports: readonly { readonly containerPort: number; readonly protocol: 'tcp' | 'udp' | 'sctp' }[]
}

export interface Pod {
  readonly namespace: string
  readonly name: string
  readonly uid: string
  readonly resourceVersion: string
  /** And annotations of ours (hatchway.*): a label's value has 63 plain characters, which no list of people fits. */
  readonly labels: Readonly<Record<string, string>>
  /** A gateway made it, of a template. */
  readonly made: boolean
  /** Milliseconds since the epoch. */
  readonly createdAt: number
  /** It is being deleted. */
  readonly leaving: boolean
  readonly ready: boolean
  readonly phase: string
  /** Evicted, NodeLost, ...; mostly "". */
  readonly reason: string
  readonly node: string
  readonly addresses: readonly string[]
  /** Deployment "web", StatefulSet "db", Job, DaemonSet: what made it. */
  readonly owner: { readonly kind: string; readonly name: string } | undefined
  /** The container that is meant where the pod alone is named; undefined: it has several, and says nothing. */
  readonly main: string | undefined
  readonly containers: readonly PodContainer[]
  /** Ephemeral containers that run, and the container that each of them is for. */
  readonly beside: readonly { readonly name: string; readonly target: string; readonly runtimeId: string }[]
}

const text = z
  .string()
  .nullish()
  .catch('')
  .transform((value) => value ?? '')
const number = z
  .number()
  .nullish()
  .catch(0)
  .transform((value) => value ?? 0)
const flag = z
  .boolean()
  .nullish()
  .catch(false)
  .transform((value) => value === true)
const list = <T extends z.ZodType>(item: T) =>
  z
    .array(item)
    .nullish()
    .catch([])
    .transform((all) => all ?? [])
const map = z
  .record(z.string(), z.string())
  .nullish()
  .catch({})
  .transform((all) => all ?? {})

const terminated = z.object({ exitCode: number, reason: text, message: text, startedAt: text }).nullish()
const status = z.object({
  name: z.string(),
  ready: flag,
  restartCount: number,
  containerID: text,
  state: z
    .object({
      running: z.object({ startedAt: text }).nullish(),
      waiting: z.object({ reason: text }).nullish(),
      terminated,
    })
    .nullish(),
  lastState: z.object({ terminated }).nullish(),
})
const container = z.object({
  name: z.string(),
  image: text,
  workingDir: text,
  env: list(z.object({ name: z.string(), value: z.string().nullish() })),
  volumeMounts: list(z.object({ name: text, mountPath: text, readOnly: flag })),
  ports: list(z.object({ containerPort: number, protocol: text })),
  securityContext: z.object({ readOnlyRootFilesystem: flag }).nullish(),
})
const pod = z.object({
  metadata: z.object({
    name: z.string(),
    namespace: z.string(),
    uid: z.string(),
    resourceVersion: text,
    creationTimestamp: text,
    deletionTimestamp: text,
    labels: map,
    annotations: map,
    ownerReferences: list(z.object({ kind: text, name: text, controller: flag })),
  }),
  spec: z.object({
    nodeName: text,
    containers: list(container),
    ephemeralContainers: list(z.object({ name: text, targetContainerName: text })),
    volumes: list(z.record(z.string(), z.unknown())),
  }),
  status: z
    .object({
      phase: text,
      reason: text,
      podIP: text,
      podIPs: list(z.object({ ip: text })),
      conditions: list(z.object({ type: text, status: text })),
      containerStatuses: list(status),
      ephemeralContainerStatuses: list(status),
    })
    .nullish(),
})

/** Of a list or of a watch; undefined: it is no pod. */
export function parsePod(json: unknown): Pod | undefined {
  const found = pod.safeParse(json)
  if (!found.success) return undefined
  const { metadata, spec, status: now } = found.data
  const volumes = new Map(spec.volumes.map((volume) => [String(volume.name), volume]))
  const addresses = [now?.podIP ?? '', ...(now?.podIPs ?? []).map(({ ip }) => ip)]
  const [only, ...others] = spec.containers
  const annotated = metadata.annotations['kubectl.kubernetes.io/default-container']
  return {
    namespace: metadata.namespace,
    name: metadata.name,
    uid: metadata.uid,
    resourceVersion: metadata.resourceVersion,
    labels: { ...ours(metadata.annotations), ...metadata.labels },
    made: metadata.labels['app.kubernetes.io/managed-by'] === 'hatchway' && 'hatchway.template' in metadata.labels,
    createdAt: Date.parse(metadata.creationTimestamp) || 0,
    leaving: metadata.deletionTimestamp !== '',
    ready: (now?.conditions ?? []).some(({ type, status: is }) => type === 'Ready' && is === 'True'),
    phase: now?.phase ?? '',
    reason: now?.reason ?? '',
    node: spec.nodeName,
    addresses: [...new Set(addresses.filter(Boolean))],
    owner: ownerOf(metadata),
    main: spec.containers.some(({ name }) => name === annotated)
      ? annotated
      : others.length === 0
        ? only?.name
        : undefined,
    beside: spec.ephemeralContainers.flatMap(({ name, targetContainerName: target }) => {
      const found = now?.ephemeralContainerStatuses.find((one) => one.name === name)
      return found?.state?.running ? [{ name, target, runtimeId: found.containerID }] : []
    }),
    containers: spec.containers.map((one) => toContainer(one, now?.containerStatuses ?? [], volumes)),
  }
}

function ours(annotations: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(annotations).filter(([key]) => key.startsWith('hatchway.')))
}

/** Deployments own their pods through a ReplicaSet, whose name is theirs and the pods' own hash. */
function ownerOf({ ownerReferences, labels }: z.infer<typeof pod>['metadata']): Pod['owner'] {
  const owner = ownerReferences.find(({ controller }) => controller)
  if (!owner) return undefined
  const hash = labels['pod-template-hash']
  const suffix = `-${hash}`
  if (owner.kind === 'ReplicaSet' && hash && owner.name.endsWith(suffix)) {
    return { kind: 'Deployment', name: owner.name.slice(0, -suffix.length) }
  }
  return { kind: owner.kind, name: owner.name }
}

function toContainer(
  spec: z.infer<typeof container>,
  statuses: readonly z.infer<typeof status>[],
  volumes: ReadonlyMap<string, Record<string, unknown>>,
): PodContainer {
  const found = statuses.find(({ name }) => name === spec.name)
  const { running, terminated: ended, waiting } = found?.state ?? {}
  const last = found?.lastState?.terminated
  return {
    name: spec.name,
    image: spec.image,
    runtimeId: found?.containerID ?? '',
    state: running ? 'running' : ended ? 'terminated' : 'waiting',
    reason: ended?.reason ?? waiting?.reason ?? '',
    message: ended?.message ?? '',
    exitCode: ended?.exitCode ?? last?.exitCode ?? 0,
    startedAt: running?.startedAt ?? ended?.startedAt ?? '',
    ready: found?.ready ?? false,
    restarts: found?.restartCount ?? 0,
    lastReason: last?.reason ?? '',
    readOnlyRootfs: spec.securityContext?.readOnlyRootFilesystem ?? false,
    // What comes of a Secret or a ConfigMap is not told here.
    env: spec.env.flatMap(({ name, value }) => (typeof value === 'string' ? [`${name}=${value}`] : [])),
    workdir: spec.workingDir,
    mounts: spec.volumeMounts.map(({ name, mountPath, readOnly }) => {
      const volume = volumes.get(name) ?? {}
      const memory = z.object({ emptyDir: z.object({ medium: z.literal('Memory') }) }).safeParse(volume).success
      return { type: memory ? 'tmpfs' : 'volume', source: name, destination: mountPath, readOnly }
    }),
    ports: spec.ports.map(({ containerPort, protocol }) => ({
      containerPort,
      protocol: protocol === 'UDP' ? 'udp' : protocol === 'SCTP' ? 'sctp' : 'tcp',
    })),
  }
}

const podList = z.object({
  metadata: z.object({ resourceVersion: text, continue: text }),
  items: z.array(z.unknown()).nullish(),
})

export interface PodList {
  readonly pods: readonly Pod[]
  readonly resourceVersion: string
  /** For the next part; "" after the last. */
  readonly more: string
}

export function parsePodList(json: unknown): PodList {
  const { metadata, items } = podList.parse(json)
  const pods = (items ?? []).map(parsePod).filter((found) => found !== undefined)
  return { pods, resourceVersion: metadata.resourceVersion, more: metadata.continue }
}

/** One line of a watch. */
export type WatchLine =
  | { readonly type: 'pod'; readonly gone: boolean; readonly pod: Pod }
  | { readonly type: 'bookmark'; readonly resourceVersion: string }
  | { readonly type: 'error'; readonly code: number; readonly message: string }

const line = z.object({ type: z.string(), object: z.unknown() })
const bookmark = z.object({ metadata: z.object({ resourceVersion: z.string() }) })
const failure = z.object({ code: number, message: text })

/** Undefined: a kind of line that is not known, as servers may add some. */
export function parseWatchLine(json: string): WatchLine | undefined {
  const { type, object } = line.parse(JSON.parse(json))
  if (type === 'BOOKMARK') {
    return { type: 'bookmark', resourceVersion: bookmark.parse(object).metadata.resourceVersion }
  }
  if (type === 'ERROR') return { type: 'error', ...failure.catch({ code: 0, message: '' }).parse(object) }
  const found = parsePod(object)
  if (!found || !['ADDED', 'MODIFIED', 'DELETED'].includes(type)) return undefined
  return { type: 'pod', gone: type === 'DELETED', pod: found }
}
