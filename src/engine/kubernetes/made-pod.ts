/** A container to be made → the pod that has it, as the API takes it: the operator's parts under what the gateway must set. Pure. */
import { HatchwayError } from '../../base/errors.ts'
import { oneLine } from '../../base/printable.ts'
import type { ContainerSpec, SpecMount } from '../engine.ts'

/** The container of a made pod that people are led into. */
export const MADE_CONTAINER = 'main'
export const MANAGED_BY = { 'app.kubernetes.io/managed-by': 'hatchway' } as const
export const DEFAULT_CONTAINER = 'kubectl.kubernetes.io/default-container'

type Parts = Readonly<Record<string, unknown>>

const POD_NAME = /^[a-z0-9]([a-z0-9-]{0,251}[a-z0-9])?$/
const LABEL_NAME = /^[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?$/
const LABEL_PREFIX = /^[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?$/
const LABEL_VALUE = /^([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?$/
const USER = /^(\d{1,10})(?::(\d{1,10}))?$/

const PULLS = { missing: 'IfNotPresent', always: 'Always', never: 'Never' } as const

/** @throws HatchwayError NOT_SUPPORTED: a pod cannot have that */
export function podToMake(spec: ContainerSpec): object {
  if (!POD_NAME.test(spec.name)) throw impossible(`${spec.name} is no name for one`)
  if (spec.network !== undefined || spec.pids !== undefined || spec.init) {
    throw impossible('network, limits.pids and init are not for it')
  }
  const { metadata, spec: own = {} } = spec.pod ?? {}
  const { labels, annotations } = labelled(spec.labels)
  const containers = partsOf(own.containers)
  const main = containers.find(({ name }) => name === MADE_CONTAINER) ?? {}
  const volumes = spec.mounts.map(volumeOf)
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: {
      name: spec.name,
      labels: { ...metadata?.labels, ...MANAGED_BY, ...labels },
      annotations: { ...metadata?.annotations, ...annotations, [DEFAULT_CONTAINER]: MADE_CONTAINER },
    },
    spec: {
      restartPolicy: 'Never',
      // Whoever logs in would have the account's rights in the cluster.
      automountServiceAccountToken: false,
      ...(spec.atMostSeconds !== undefined && { activeDeadlineSeconds: spec.atMostSeconds }),
      ...own,
      containers: [containerOf(spec, main), ...containers.filter((one) => one !== main)],
      volumes: [...partsOf(own.volumes), ...volumes],
    },
  }
}

function containerOf(spec: ContainerSpec, main: Parts): object {
  const [, uid, gid] = USER.exec(spec.user ?? '') ?? []
  if (spec.user !== undefined && uid === undefined) throw impossible(`its user is a number, and not ${spec.user}`)
  const env = spec.env.map((entry) => {
    const at = entry.indexOf('=')
    return { name: entry.slice(0, at), value: literal(entry.slice(at + 1)) }
  })
  const named = new Set(env.map(({ name }) => name))
  const limits = {
    ...(spec.memory !== undefined && { memory: String(spec.memory) }),
    ...(spec.cpus !== undefined && { cpu: `${Math.ceil(spec.cpus * 1000)}m` }),
  }
  const resources = partOf(main.resources)
  return {
    // Why it ended is then told with its status: its log needs no right of ours.
    terminationMessagePolicy: 'FallbackToLogsOnError',
    ...main,
    name: MADE_CONTAINER,
    image: spec.image,
    ...(spec.pull && { imagePullPolicy: PULLS[spec.pull] }),
    ...(spec.argv && { command: spec.argv.map(literal), args: [] }),
    ...(spec.workdir !== undefined && { workingDir: spec.workdir }),
    env: [...partsOf(main.env).filter(({ name }) => !named.has(String(name))), ...env],
    resources: { ...resources, limits: { ...partOf(resources.limits), ...limits } },
    volumeMounts: [
      ...partsOf(main.volumeMounts),
      ...spec.mounts.map(({ target, readOnly }, index) => ({ name: volumeName(index), mountPath: target, readOnly })),
    ],
    ...(uid !== undefined && {
      securityContext: {
        ...partOf(main.securityContext),
        runAsUser: Number(uid),
        ...(gid !== undefined && { runAsGroup: Number(gid) }),
      },
    }),
  }
}

/** A volume is a claim that is there; without a name it is empty, and goes with the pod. */
function volumeOf({ type, source }: SpecMount, index: number): object {
  const name = volumeName(index)
  if (type === 'tmpfs') return { name, emptyDir: { medium: 'Memory' } }
  if (type === 'bind') return { name, hostPath: { path: source } }
  return source === undefined ? { name, emptyDir: {} } : { name, persistentVolumeClaim: { claimName: source } }
}

function volumeName(index: number): string {
  return `hatchway-${index}`
}

/** Kubernetes puts variables in place of $(NAME), and one $ in place of two. */
function literal(text: string): string {
  return text.replaceAll('$', '$$$$')
}

/** A label's value is short and plain in Kubernetes; what of ours does not fit is an annotation, which is read as a label (pods.ts). */
function labelled(all: Readonly<Record<string, string>>) {
  const labels: Record<string, string> = {}
  const annotations: Record<string, string> = {}
  for (const [key, value] of Object.entries(all)) {
    const [name = '', prefix, ...more] = key.split('/').reverse()
    if (!LABEL_NAME.test(name) || more.length > 0 || (prefix !== undefined && !LABEL_PREFIX.test(prefix))) {
      throw impossible(`${key} is no name for a label`)
    }
    if (LABEL_VALUE.test(value)) labels[key] = value
    else if (key.startsWith('hatchway.')) annotations[key] = value
    else throw impossible(`the value of its label ${key} is none that Kubernetes takes`)
  }
  return { labels, annotations }
}

function partsOf(value: unknown): readonly Parts[] {
  return Array.isArray(value) ? value.filter(isParts) : []
}

function partOf(value: unknown): Parts {
  return isParts(value) ? value : {}
}

function isParts(value: unknown): value is Parts {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function impossible(what: string): HatchwayError {
  return new HatchwayError('NOT_SUPPORTED', `no pod can be made of this template: ${oneLine(what, 150)}`)
}
