/** The engines' JSON, narrowed: Docker's API, Podman's imitation of it and the CLIs' `inspect` say nearly the same. */
import { z } from 'zod'
import { HatchwayError } from '../base/errors.ts'
import type { Container, ContainerState, ContainerSummary, Mount, PortBinding } from './engine.ts'

const text = z.string().catch('')
const labels = z.record(z.string(), z.string()).nullish().catch({})
const list = <T extends z.ZodType>(item: T) => z.array(item).nullish().catch([])

const mount = z.object({
  Type: text,
  Name: z.string().optional().catch(undefined),
  Source: text,
  Destination: text,
  RW: z.boolean().catch(true),
})

const summary = z.object({
  Id: z.string(),
  Names: list(z.string()),
  Image: text,
  State: text,
  Status: text,
  Created: z.number().catch(0),
  Labels: labels,
  Ports: list(
    z.object({
      IP: z.string().optional(),
      PrivatePort: z.number(),
      PublicPort: z.number().optional(),
      Type: text,
    }),
  ),
  Mounts: list(mount),
})

const inspection = z.object({
  Id: z.string(),
  Name: text,
  Image: text,
  ImageName: z.string().optional().catch(undefined),
  Created: text,
  State: z.object({ Status: text, StartedAt: text, ExitCode: z.number().catch(0) }),
  Config: z
    .object({ User: text, WorkingDir: text, Env: list(z.string()), Labels: labels, Image: text })
    .catch({ User: '', WorkingDir: '', Env: [], Labels: {}, Image: '' }),
  HostConfig: z
    .object({ ReadonlyRootfs: z.boolean().catch(false), UsernsMode: text })
    .catch({ ReadonlyRootfs: false, UsernsMode: '' }),
  Mounts: list(mount),
  NetworkSettings: z
    .object({
      IPAddress: text,
      Networks: z
        .record(z.string(), z.object({ IPAddress: text, GlobalIPv6Address: text }))
        .nullish()
        .catch({}),
      Ports: z
        .record(z.string(), z.array(z.object({ HostIp: text, HostPort: text })).nullish())
        .nullish()
        .catch({}),
    })
    .catch({ IPAddress: '', Networks: {}, Ports: {} }),
})

/** The seam's words for Docker's and Podman's states. */
function containerState(word: string): ContainerState {
  switch (word) {
    case 'created':
    case 'running':
    case 'paused':
    case 'restarting':
    case 'removing':
    case 'exited':
    case 'dead':
      return word
    case 'configured':
    case 'initialized':
      return 'created'
    default:
      return 'exited'
  }
}

function protocol(word: string): PortBinding['protocol'] {
  return word === 'udp' || word === 'sctp' ? word : 'tcp'
}

function toMount(found: z.infer<typeof mount>): Mount {
  const source = found.Type === 'volume' ? (found.Name ?? found.Source) : found.Source
  return { type: found.Type, source, destination: found.Destination, readOnly: !found.RW }
}

/** Answers of GET /containers/json. */
export function parseSummaries(json: unknown): ContainerSummary[] {
  return z
    .array(summary)
    .parse(json)
    .map((found) => ({
      id: found.Id,
      // A container that others link to has names with more than one slash; its own is the one with the single slash.
      name: (found.Names?.find((name) => name.lastIndexOf('/') <= 0) ?? found.Names?.[0] ?? '').replace(/^\//, ''),
      image: found.Image,
      state: containerState(found.State),
      status: found.Status,
      createdAt: found.Created,
      labels: found.Labels ?? {},
      ports: (found.Ports ?? []).map((port) => ({
        containerPort: port.PrivatePort,
        protocol: protocol(port.Type),
        ...(port.PublicPort && { hostAddress: port.IP ?? '', hostPort: port.PublicPort }),
      })),
      mounts: (found.Mounts ?? []).map(toMount),
    }))
}

export function parseContainer(json: unknown): Container {
  return toContainer(inspection.parse(json))
}

function toContainer(found: z.infer<typeof inspection>): Container {
  const networks = Object.values(found.NetworkSettings.Networks ?? {})
  const addresses = [
    found.NetworkSettings.IPAddress,
    ...networks.flatMap((network) => [network.IPAddress, network.GlobalIPv6Address]),
  ]
  return {
    id: found.Id,
    name: found.Name.replace(/^\//, ''),
    image: found.Config.Image || found.ImageName || found.Image,
    state: containerState(found.State.Status),
    startedAt: found.State.StartedAt,
    exitCode: found.State.ExitCode,
    user: found.Config.User,
    workdir: found.Config.WorkingDir,
    env: found.Config.Env ?? [],
    labels: found.Config.Labels ?? {},
    addresses: [...new Set(addresses.filter((address) => address !== ''))],
    readOnlyRootfs: found.HostConfig.ReadonlyRootfs,
    usernsMode: found.HostConfig.UsernsMode,
    mounts: (found.Mounts ?? []).map(toMount),
  }
}

/** A row of `list` from what a CLI's `inspect` says (its `ps` flattens labels and ports into lossy text). */
export function parseInspectedSummary(json: unknown, status: (id: string) => string): ContainerSummary {
  const found = inspection.parse(json)
  const { id, name, image, state, labels: tags, mounts } = toContainer(found)
  const ports = Object.entries(found.NetworkSettings.Ports ?? {}).flatMap(([key, bindings]): PortBinding[] => {
    const [number = '0', word = 'tcp'] = key.split('/')
    const exposed = { containerPort: Number(number), protocol: protocol(word) }
    if (!bindings?.length) return [exposed]
    return bindings.map((b) => ({ ...exposed, hostAddress: b.HostIp, hostPort: Number(b.HostPort) }))
  })
  const createdAt = Math.floor(Date.parse(found.Created) / 1000) || 0
  return { id, name, image, state, status: status(id), createdAt, labels: tags, ports, mounts }
}

const event = z.object({
  Type: text,
  Action: z.string().optional(),
  /** Podman's CLI. */
  Status: z.string().optional(),
  status: z.string().optional(),
  id: z.string().optional(),
  ID: z.string().optional(),
  Actor: z
    .object({ ID: text, Attributes: z.record(z.string(), z.string()).nullish() })
    .optional()
    .catch(undefined),
  Attributes: z.record(z.string(), z.string()).nullish().catch(undefined),
})

export interface ParsedEvent {
  readonly id: string
  readonly action: string
  /** Of a `kill`: the signal's number or name. */
  readonly signal?: string
}

/** undefined: not about a container's life (other objects, execs) or not readable. */
export function parseEvent(line: string): ParsedEvent | undefined {
  let json: unknown
  try {
    json = JSON.parse(line)
  } catch {
    return undefined
  }
  const found = event.safeParse(json)
  if (!found.success || (found.data.Type !== 'container' && found.data.Type !== '')) return undefined
  const { Action, Status, status, Actor, ID, id = Actor?.ID ?? ID } = found.data
  // "exec_start: sh -c ..." quotes command lines; "health_status: healthy" is of no use either.
  const action = (Action ?? Status ?? status ?? '').split(':')[0] ?? ''
  if (id === undefined || action === '' || action.startsWith('exec')) return undefined
  const signal = (Actor?.Attributes ?? found.data.Attributes)?.signal
  return signal === undefined ? { id, action } : { id, action, signal }
}

/** Of one container, where the engine's lines are told all at once. */
export function parseEvents(lines: string, containerId: string): ParsedEvent[] {
  const events = lines.split('\n').map(parseEvent)
  return events.filter((event): event is ParsedEvent => event !== undefined && event.id === containerId)
}

const version = z.object({
  Version: text,
  ApiVersion: text,
  MinAPIVersion: text,
  Arch: text,
  Components: list(z.object({ Name: text })),
})

export interface EngineVersion {
  readonly product: string
  readonly version: string
  readonly arch: string
  readonly apiVersion: string
  readonly minApiVersion: string
}

const ARCHITECTURES: Readonly<Record<string, string>> = {
  amd64: 'x64',
  x86_64: 'x64',
  aarch64: 'arm64',
  '386': 'ia32',
  ppc64le: 'ppc64',
}

/** GET /version, and `Server` of `docker version`. */
export function parseVersion(json: unknown): EngineVersion {
  const found = version.parse(json)
  const podman = found.Components?.some((part) => /podman/i.test(part.Name)) ?? false
  return {
    product: podman ? 'podman' : 'docker',
    version: found.Version,
    arch: nodeArch(found.Arch),
    apiVersion: found.ApiVersion,
    minApiVersion: found.MinAPIVersion,
  }
}

/** GET /info; undefined: it has none. */
export function parseDaemonId(json: unknown, product: string): string | undefined {
  const { ID, Name } = z.object({ ID: text, Name: text }).parse(json)
  // Podman makes an ID up for each answer.
  const id = product === 'podman' ? Name : ID
  return id === '' ? undefined : id
}

export function nodeArch(word: string): string {
  return ARCHITECTURES[word] ?? word
}

/** An id becomes part of paths; an engine that answers anything else is not one. */
const EXEC_ID = /^[0-9a-zA-Z]{1,128}$/

const execState = z.object({
  Running: z.boolean().catch(false),
  ExitCode: z.number().nullish().catch(null),
  Pid: z.number().optional().catch(undefined),
})

export interface ExecState {
  readonly running: boolean
  readonly code: number | undefined
  /** Docker says Running before there is a process. */
  readonly started: boolean
}

/** GET /exec/ID/json. While it runs ExitCode means nothing (null on Docker, 0 on Podman). */
export function parseExecState(json: unknown): ExecState {
  const { Running: running, ExitCode, Pid } = execState.parse(json)
  return { running, code: running ? undefined : (ExitCode ?? undefined), started: running && Pid !== 0 }
}

/** `ExecIDs` of a container's inspection: what was started in it by an exec, by whomever. */
export function parseExecIds(json: unknown): readonly string[] {
  return z.object({ ExecIDs: list(z.string().regex(EXEC_ID)) }).parse(json).ExecIDs ?? []
}

export function parseObjectId(json: unknown): string {
  return z.object({ Id: z.string().regex(EXEC_ID) }).parse(json).Id
}

/** The answer of an engine, or of what answers in its place. No body is no value. @throws HatchwayError ENGINE_ERROR */
export function readJson<T>(body: Buffer, parse: (json: unknown) => T): T {
  try {
    return parse(body.length === 0 ? undefined : JSON.parse(body.toString('utf8')))
  } catch (cause) {
    throw new HatchwayError('ENGINE_ERROR', 'the container engine gave an answer that makes no sense', { cause })
  }
}

export function parseMessage(body: Buffer): string {
  try {
    const found = z.object({ message: z.string() }).safeParse(JSON.parse(body.toString('utf8')))
    if (found.success) return found.data.message
  } catch {}
  return body.toString('utf8', 0, 400)
}
