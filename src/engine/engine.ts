/**
 * The seam: what Hatchway needs of a container engine. Everything above it is engine-blind, everything below it is
 * one driver a file. test/engine/contract.ts is this file as a test suite; every driver runs it.
 *
 * Every call takes an AbortSignal and every driver bounds its own waits: a hostile container can make an engine hang.
 */

import type { Readable, Writable } from 'node:stream'
import type { HatchwayError } from '../base/errors.ts'
import type { ExitStatus, WindowSize } from '../base/program.ts'

export type ContainerState = 'created' | 'running' | 'paused' | 'restarting' | 'removing' | 'exited' | 'dead'

export interface PortBinding {
  readonly containerPort: number
  readonly protocol: 'tcp' | 'udp' | 'sctp'
  /** Published host address and port; both absent when the port is only exposed. */
  readonly hostAddress?: string
  readonly hostPort?: number
}

export interface Mount {
  readonly type: string
  /** Host path or volume name. */
  readonly source: string
  readonly destination: string
  readonly readOnly: boolean
}

/** A row of `list()`. */
export interface ContainerSummary {
  /** Opaque: text without blanks, the same for as long as the container is there. `shortId` shows it to people. */
  readonly id: string
  /** The name of its engine, where there are several. */
  readonly engine?: string
  /** Without the leading slash. */
  readonly name: string
  /** Of several of its engine that are the same: what they are together. The first of them that runs is meant. */
  readonly service?: string
  /** Another id by which it may be called: of a service's task. */
  readonly task?: string
  /** ContainerSpec.name, of one that was made here by an engine that calls it otherwise. */
  readonly madeAs?: string
  /** Other names that the engine has for it, which several containers may share: they come after its own. */
  readonly names?: readonly string[]
  readonly image: string
  readonly state: ContainerState
  /** The engine's own words, as "Up 3 minutes (healthy)". */
  readonly status: string
  /** Seconds since the epoch. */
  readonly createdAt: number
  readonly labels: Readonly<Record<string, string>>
  readonly ports: readonly PortBinding[]
  readonly mounts: readonly Mount[]
}

/** What `inspect()` tells of one container. Labels and env come from image and operator: treat as hostile text. */
export interface Container {
  readonly id: string
  /** As in a ContainerSummary. */
  readonly engine?: string
  /**
   * Nothing of ours can start in it. needed: until a container was put beside it (Engine.beside), there is nothing else to be known
   * of it. used: programs start in the one beside it, whose user, environment and folder are told here.
   */
  readonly beside?: 'needed' | 'used'
  /** As EngineInfo.arch, where the engine's containers run on more than one kind of machine. */
  readonly arch?: string
  readonly name: string
  readonly image: string
  readonly state: ContainerState
  /** The engine's start time as it spells it; changes at every start, so (id, startedAt) names one run. */
  readonly startedAt: string
  /** Of its last run; meaningless while it runs and before it ever did. */
  readonly exitCode: number
  /** Config.User: "", "name", "uid", "name:group", "uid:gid". */
  readonly user: string
  /** Config.WorkingDir, "" when unset. */
  readonly workdir: string
  /** Config.Env as "KEY=value". */
  readonly env: readonly string[]
  readonly labels: Readonly<Record<string, string>>
  /** Addresses on the container's networks, as seen from the engine's host. */
  readonly addresses: readonly string[]
  readonly readOnlyRootfs: boolean
  /** HostConfig.UsernsMode: "" (as the engine makes every container), "host"; of Podman also "private" and others. */
  readonly usernsMode: string
  readonly mounts: readonly Mount[]
}

export interface ExecSpec {
  /** argv[0] is the program, found by the engine on the container's PATH. No shell is involved. */
  readonly argv: readonly [string, ...string[]]
  /**
   * "name", "uid" or "uid:gid", as the engine takes it (ExecCarries.user); already resolved, never text from a client. "": the
   * container's own user, with the groups it was run with.
   */
  readonly user: string
  /** Absolute; must exist inside. "": wherever the engine starts programs. */
  readonly cwd: string
  /** "KEY=value", on top of the container's own environment. */
  readonly env: readonly string[]
  /** Present: run on a pseudo terminal of that size (0x0 allowed); stdout and stderr are one stream then. */
  readonly tty?: WindowSize
}

/** What of an ExecSpec the engine's own exec can carry. What it cannot, `execIn` (exec-in.ts) makes up for. */
export interface ExecCarries {
  /**
   * any: as it stands there. numeric: numbers only, "uid:gid", with supplementary groups "uid:gid,GID,GID". none: every
   * program is the container's own user, and "" is all that may be asked.
   */
  readonly user: 'any' | 'numeric' | 'none'
  readonly cwd: boolean
  readonly env: boolean
}

/** 1 is stdout, 2 is stderr, as file descriptors. A terminal has only 1. */
export type OutputFd = 1 | 2

/**
 * Where a program's output goes. The chunk is lent: it is copied before `write` returns and may be overwritten after.
 * `false` asks the source to give no more until `Exec.resume()`; what it still gives is taken all the same.
 */
export interface OutputSink {
  write(fd: OutputFd, chunk: Buffer): boolean
}

/** One running program inside a container. */
export interface Exec {
  /**
   * The program's stdin; `end()` closes it (on a terminal: sends EOT, RFC 4254 has no better). Never emits 'error'. A chunk
   * is lent: it is copied before `write` returns, unless one before it still waits (`writableLength`).
   */
  readonly stdin: Writable
  /** Ask for output again after the sink answered false. */
  resume(): void
  /**
   * The program's end, after its last output was given to the sink. Rejects with a HatchwayError when something else
   * ended it: CONTAINER_GONE, ENGINE_LOST, ENGINE_ERROR. COMMAND_NOT_FOUND and such are exit codes with text on stderr.
   */
  readonly exit: Promise<ExitStatus>
  /** Best effort; the last size wins, also when asked before the program runs. */
  resize(size: WindowSize): void
  /** Send a signal (name without "SIG") to the program's process group; false where the road cannot. */
  signal(name: string): boolean
  /**
   * Let go: stop output, close stdin, release the stream. What still runs inside is hung up where the road can do it
   * (the plain road: by the session's cookie). Idempotent; `exit` settles.
   */
  close(): void
}

/**
 * A container of our own, run for a moment in the process namespace of another so that its files can be reached there. It
 * has no network, no capability, and limits of its own (holder-start.ts).
 */
export interface HolderSpec {
  /** Whose process namespace it joins. */
  readonly containerId: string
  /** "uid:gid", both numbers: the same as of the exec that will reach through it (ptrace access check). */
  readonly user: string
  /** Tagged with the hash of what is in it, so that it is made once. */
  readonly image: { readonly repository: string; readonly tag: string; readonly tar: Buffer }
  /** Ends by itself within a minute, whatever becomes of us. */
  readonly argv: readonly [string, ...string[]]
  /** As an engine takes it; absent: as the engine makes every container. Has to fit that of the process namespace. */
  readonly userns?: string
  /** A folder of this host, mounted read-only; only where `EngineInfo.local`. */
  readonly mount?: { readonly source: string; readonly destination: string }
}

export interface Holder {
  /** It is killed and removed; idempotent, never fails. */
  close(): Promise<void>
}

/** Optional: engines that may create containers. What it starts goes with the gateway, also when that is killed. */
export interface Holders {
  /** Resolves when it runs and said its first line. */
  start(spec: HolderSpec, signal: AbortSignal): Promise<Holder & { readonly firstLine: string }>
  /** Removes the holders that a killed gateway left on the engine. Returns how many. */
  sweep(signal: AbortSignal): Promise<number>
  /** Removes the image where nothing uses it. */
  forget(repository: string, signal: AbortSignal): Promise<void>
}

export interface SpecMount {
  readonly type: 'bind' | 'volume' | 'tmpfs'
  /** Host path or volume name; a tmpfs has none. */
  readonly source?: string
  readonly target: string
  readonly readOnly: boolean
}

/** A container to be made. What is absent is the image's or the engine's own. */
export interface ContainerSpec {
  readonly name: string
  readonly image: string
  /** The whole program, in place of the image's entrypoint and command. */
  readonly argv?: readonly [string, ...string[]]
  readonly user?: string
  readonly workdir?: string
  /** "KEY=value" */
  readonly env: readonly string[]
  readonly labels: Readonly<Record<string, string>>
  readonly mounts: readonly SpecMount[]
  /** A network's name, "none", "host", "container:NAME". */
  readonly network?: string
  /** Bytes. */
  readonly memory?: number
  readonly cpus?: number
  readonly pids?: number
  /** The engine's own init (docker-init, catatonit) as process 1. */
  readonly init: boolean
  /** When its image is pulled, by an engine that does it unasked (Lifecycle.comesUp). */
  readonly pull?: 'missing' | 'always' | 'never'
  /** It ends by then, whatever becomes of us, where the engine can see to that. */
  readonly atMostSeconds?: number
  /** What else a pod of Kubernetes has, under all that is said here; only for engines with Lifecycle.comesUp. */
  readonly pod?: PodParts
}

/** As the API of Kubernetes spells it. */
export interface PodParts {
  readonly metadata?:
    | {
        readonly labels?: Readonly<Record<string, string>> | undefined
        readonly annotations?: Readonly<Record<string, string>> | undefined
      }
    | undefined
  readonly spec?: Readonly<Record<string, unknown>> | undefined
}

export interface PullProgress {
  readonly layers: number
  /** Layers that are there. */
  readonly complete: number
  /** Bytes of the layers whose size is told. */
  readonly bytes: number
  readonly total: number
}

/** Optional: engines that may start, stop, make and remove containers. */
export interface Lifecycle {
  /** Resolves when its program was started, which may have ended again. One that runs already is no error. */
  start(containerId: string, signal: AbortSignal): Promise<void>
  unpause(containerId: string, signal: AbortSignal): Promise<void>
  /** Its stop signal, and KILL after `grace` seconds. */
  stop(containerId: string, grace: number, signal: AbortSignal): Promise<void>
  /**
   * Does a program run in it that somebody else started there: another gateway, a person with `docker exec`, a health
   * check? What this object has started itself is not counted.
   */
  othersInside(containerId: string, signal: AbortSignal): Promise<boolean>
  /** As othersInside, and what this object has started itself is counted. */
  anyInside(containerId: string, signal: AbortSignal): Promise<boolean>
  /**
   * The last lines of what its program wrote, at most some KiB: hostile text. stdout's, then stderr's: engines read the
   * two by themselves, and do not keep the order between them.
   */
  logs(containerId: string, lines: number, signal: AbortSignal): Promise<string>
  /**
   * Makes the container and returns its id; it does not run yet. Throws IMAGE_UNAVAILABLE when the image is not there, and
   * CONTAINER_START_FAILED when a limit cannot be had: then nothing is left of it.
   */
  create(spec: ContainerSpec, signal: AbortSignal): Promise<string>
  /** By id or name, by force, with its anonymous volumes. One that is gone already is no error. */
  remove(ref: string, signal: AbortSignal): Promise<void>
  /** Throws IMAGE_UNAVAILABLE with the registry's reason. Has no limit but the signal. */
  pull(image: string, progress: (progress: PullProgress) => void, signal: AbortSignal): Promise<void>
  /**
   * Present where the engine itself pulls and starts what it was asked to make, in a time of its own, and starts nothing again that
   * has ended (pods): resolves when it runs; `tell` is told in words, which are hostile text made printable, what it waits
   * for, once each. There `stop` removes, and nothing but what we made is started, unpaused or pulled. Has no limit but the signal.
   * Throws IMAGE_UNAVAILABLE, CONTAINER_START_FAILED, CONTAINER_GONE.
   */
  comesUp?(containerId: string, tell: (words: string) => void, signal: AbortSignal): Promise<void>
}

/** Optional: engines that read and write a container's files by themselves, so that nothing has to run inside. */
export interface Copies {
  /**
   * A tar stream of `path` inside (links at the end not followed), at most `limit` bytes; also of stopped containers.
   * Undefined when there is none. This call, the other copy calls and statPath are not for a container where they may hang
   * (copy-may-hang.ts).
   */
  copyOut(containerId: string, path: string, limit: number, signal: AbortSignal): Promise<Buffer | undefined>
  /**
   * What the engine tells of a path without reading it, as opaque text that changes when the file does; links not
   * followed. Undefined when there is none, or no such container. Absent where it costs what a copy costs.
   */
  statPath?(containerId: string, path: string, signal: AbortSignal): Promise<string | undefined>
  /** Unpack a tar into directory `path` inside, as root. Throws ENGINE_ERROR with the engine's words. */
  copyIn(containerId: string, path: string, tar: Buffer, signal: AbortSignal): Promise<void>
  /**
   * As copyOut, as a stream of any length. To be read to its end or destroyed soon: Docker holds the container's lock
   * meanwhile, and `docker stop` waits for it.
   */
  readArchive(containerId: string, path: string, signal: AbortSignal): Promise<Readable | undefined>
  /** As copyIn, of a stream. */
  writeArchive(containerId: string, path: string, tar: Readable, signal: AbortSignal): Promise<void>
}

/**
 * Optional: names that are kept on the engine, for all who use it to see: gateways on other machines, too. They survive the
 * gateway and a restart of the engine. Names begin with "hatchway-", then lower case letters, digits and dashes.
 */
export interface Marks {
  /** One that is there already is no error. */
  put(name: string, signal: AbortSignal): Promise<void>
  /** Of all who put any. */
  list(signal: AbortSignal): Promise<readonly string[]>
  /** One that is not there is no error. */
  drop(name: string, signal: AbortSignal): Promise<void>
}

/** Optional: engines that can put a container of the operator's beside one in which nothing of ours can start. */
export interface Beside {
  /**
   * Resolves when programs start in it. It stays for as long as what it is beside. `tell`: as of Lifecycle.comesUp.
   * Throws NOT_SUPPORTED, IMAGE_UNAVAILABLE, CONTAINER_START_FAILED, CONTAINER_GONE.
   */
  add(containerId: string, tell: (words: string) => void, signal: AbortSignal): Promise<void>
}

export interface EngineInfo {
  /** "docker" or "podman", as the engine names itself. */
  readonly product: string
  readonly version: string
  /** Node's spelling: x64, arm64, ... of the machine the containers run on. */
  readonly arch: string
  /** Containers share this host's kernel and file system (unix socket): the direct data path may work. */
  readonly local: boolean
}

export type EngineEvent =
  | { readonly type: 'container'; readonly action: string; readonly id: string }
  /** The stream broke and is up again: whatever was known of containers must be asked anew. */
  | { readonly type: 'reconnected'; readonly engine?: string }
  /** The engine cannot be reached, with a HatchwayError of ENGINE_*; told once, until 'reconnected'. */
  | { readonly type: 'lost'; readonly error: HatchwayError; readonly engine?: string }

export interface Engine {
  /** Of one of several: as in the configuration, and in its containers' `engine`. */
  readonly name?: string
  /** "docker", "cli", ... */
  readonly kind: string
  /** How it is reached, for logs and `doctor`: "unix:///var/run/docker.sock", "docker exec". */
  readonly endpoint: string
  info(signal: AbortSignal): Promise<EngineInfo>
  /**
   * What is the same whatever leads to this engine. Copies of a machine may have the same, and an engine may lie: it is a
   * reason to look whether two are one, and no proof. Undefined, or absent: there is no such thing.
   */
  daemonId?(signal: AbortSignal): Promise<string | undefined>
  list(signal: AbortSignal): Promise<ContainerSummary[]>
  /** Those of these ids that are there, as `list()` has them, at a fraction of its cost. Absent: there is only `list()`. */
  summaries?(ids: readonly string[], signal: AbortSignal): Promise<ContainerSummary[]>
  /** By full id, name or unambiguous id prefix. Throws CONTAINER_NOT_FOUND. */
  inspect(ref: string, signal: AbortSignal): Promise<Container>
  /**
   * Start a program. Throws CONTAINER_NOT_FOUND, CONTAINER_NOT_RUNNING (message says paused, stopped, ...),
   * ENGINE_*, from here or, where only the running exec can tell (a CLI, in-band words), from its `exit`. The signal
   * bounds the start only; `close()` ends what runs. A program that cannot be run inside is an exit status 126 or 127 with
   * a line on stderr, as a shell does.
   */
  exec(containerId: string, spec: ExecSpec, sink: OutputSink, signal: AbortSignal): Promise<Exec>
  /** Absent: its exec carries all of an ExecSpec. */
  readonly carries?: ExecCarries
  /** Absent where the engine has no copy call. */
  readonly copies?: Copies
  /** Absent where the engine may not or cannot create containers. */
  readonly holders?: Holders
  readonly lifecycle?: Lifecycle
  readonly marks?: Marks
  readonly beside?: Beside
  /** Container starts, ends, pauses, ... until the signal aborts; reconnects by itself. */
  events(signal: AbortSignal): AsyncIterable<EngineEvent>
  /** Release sockets and children; idempotent. */
  close(): Promise<void>
  /** Only of an engine that is made of others. */
  readonly parts?: EngineParts
}

/**
 * Containers' ids are the same in the whole and in its parts. Capabilities (`carries`, `copies`, `holders`, `lifecycle`, `marks`) and
 * `info` are a part's: they are asked for a container, by `engineOf`, or of each, by `enginesOf`.
 */
export interface EngineParts {
  /** The one that has this container. @throws HatchwayError CONTAINER_NOT_FOUND: there is no such part (any more) */
  of(containerId: string): Engine
  named(name: string): Engine | undefined
  readonly all: readonly Engine[]
  /** Those whose containers are not in `list()`, as they cannot be asked now, and why. */
  unanswered(): readonly Unanswered[]
  readonly directory: Directory
}

export interface Unanswered {
  readonly engine: string
  readonly error: HatchwayError
}

/** All containers of all parts, kept by events: to look one up costs no call. */
export interface Directory {
  /** By id. Those of a part that cannot be asked now are as they were when it answered last. */
  readonly containers: ReadonlyMap<string, ContainerSummary>
  /** Resolves when each part has been asked once, or had its time for it. Never rejects but with the signal's reason. */
  asked(signal: AbortSignal): Promise<void>
  /** Those that have never answered: what they have nobody knows. */
  unseen(): readonly Unanswered[]
  /** Resolves when what events have announced is in, or a moment has passed; with `engine` that one is asked anew. */
  settled(signal: AbortSignal, engine?: string): Promise<void>
  /** From now on. Of a container whose names and labels stayed nothing is told. Returns the end of it. */
  onChange(listener: DirectoryListener): () => void
}

export type DirectoryListener = (gone: readonly ContainerSummary[], come: readonly ContainerSummary[]) => void

/** The engine that has this container: itself, or one of its parts. @throws HatchwayError as EngineParts.of */
export function engineOf(engine: Engine, containerId: string): Engine {
  return engine.parts?.of(containerId) ?? engine
}

export type EngineNaming = Pick<Engine, 'endpoint' | 'parts'>

/** By what rules may call the engine of a container: its name, where it is one of several, and its address. */
export function engineNames(engine: EngineNaming, container: Pick<Container, 'engine'>): readonly string[] {
  const { engine: name } = container
  return name === undefined ? [engine.endpoint] : [name, endpointOf(engine, container)]
}

/** How the engine of a container is reached; "" where there is no such engine. */
export function endpointOf(engine: EngineNaming, { engine: name }: Pick<Container, 'engine'>): string {
  return name === undefined ? engine.endpoint : (engine.parts?.named(name)?.endpoint ?? '')
}

export function enginesOf(engine: Engine): readonly Engine[] {
  return engine.parts?.all ?? [engine]
}
