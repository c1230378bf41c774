/** The composition root: a configuration becomes an engine, what a connection may do, and a listening server. */
import { randomBytes } from 'node:crypto'
import { hostname } from 'node:os'
import type { AdminToken } from './admin/admin.ts'
import { openAdministering } from './app/administering.ts'
import { openAuditing } from './app/auditing.ts'
import { type Ground, makesContainers, openGround } from './app/ground.ts'
import { type InheritedSockets, listenOn } from './app/listening.ts'
import { openRecording } from './app/recording.ts'
import { openWatching, watchGateway } from './app/watching.ts'
import { type HostKey, publicLine } from './auth/hostkeys.ts'
import type { Identity } from './auth/identity.ts'
import type { Instance } from './base/instance.ts'
import type { LoadedConfig } from './config/load.ts'
import type { Config, FixedConfig } from './config/schema.ts'
import { Containers } from './container/containers.ts'
import { createStarter } from './container/lifecycle/starter.ts'
import { createPlainRoad } from './container/plain.ts'
import { templateRecord } from './container/templates/record.ts'
import { createMadeContainers } from './container/templates/template-containers.ts'
import { adviceOn } from './engine/advice.ts'
import type { Engine } from './engine/engine.ts'
import type { Audit } from './evidence/audit/audit.ts'
import type { Recorder } from './evidence/recording/recorder.ts'
import { createGuestPool } from './guest/pool.ts'
import { every } from './lifetime/every.ts'
import { opened, type Scope } from './lifetime/scope.ts'
import { createEventStream } from './observe/event-stream.ts'
import type { DrainingEvent, EmitEvent, GatewayName } from './observe/events.ts'
import type { Logger } from './observe/log.ts'
import { logEvents } from './observe/log-events.ts'
import { createReadiness, type Readiness } from './observe/readiness.ts'
import type { Inheritance } from './process/inheritance.ts'
import { createAdmit } from './session/admit.ts'
import { type ConnectionDependencies, createConnections } from './session/connection.ts'
import { ConnectionRegistry } from './session/connection-registry.ts'
import { createDestinations, type Led } from './session/destination.ts'
import { createEngineWatch } from './session/engine-watch.ts'
import { fileTapFor } from './session/file-taps.ts'
import { createAnswers } from './session/gateway-command.ts'
import { createInForce, type InForce, type Reloaded } from './session/in-force.ts'
import { killLive } from './session/kill.ts'
import { readMotd } from './session/motd.ts'
import { followed } from './session/people.ts'
import { SessionRegistry } from './session/registry.ts'
import type { Endpoint } from './ssh/connection.ts'
import { createApproach } from './ssh/preamble/preamble.ts'
import { createSshServer, type SshServer } from './ssh/server.ts'

export interface Gateway {
  readonly endpoints: readonly Endpoint[]
  readonly hostKeys: readonly HostKey[]
  readonly engine: Engine
  readonly registry: SessionRegistry
  readonly connections: ConnectionRegistry
  /** What /readyz asks; also where nobody does. */
  readonly readiness: Readiness
  /** Of the sockets that it listens on. @throws Error where node does not tell */
  descriptors(): number[]
  /**
   * Take no new connections, go on with those that are there, and leave the place of /metrics to the next gateway.
   * Idempotent.
   */
  stopListening(): Promise<void>
  /** Connections, also those that have not logged in. */
  open(): number
  /** Resolves with true once there is no connection any more, with false when the signal aborts before. */
  idle(signal: AbortSignal): Promise<boolean>
  /** Serve one connection over any stream: stdin and stdout, a channel of another connection. */
  inject: SshServer<Identity>['inject']
  /**
   * Look at key files now and take over what may change of a configuration that was read again.
   * @throws HatchwayError CONFIG_INVALID: everything stays as it was
   */
  reload(next?: LoadedConfig): Promise<Reloaded>
  /** The configuration that was read again cannot be used: told to whoever reads events. */
  reloadRefused(problems: readonly string[]): void
  /** End a session, or a connection with all its sessions, and tell of it. False: there is none of that id. */
  kill(what: 'session' | 'connection', id: string): boolean
  /** For the admin page. Undefined: there is none. */
  adminToken(name: string): AdminToken | undefined
  /** Take no new connections and wait until every session ended (true) or the signal aborts (false). */
  drain(signal: AbortSignal, why: Pick<DrainingEvent, 'graceMs' | 'signal'>): Promise<boolean>
  /** End everything now. Idempotent. */
  close(): Promise<void>
}

export interface GatewayStart {
  readonly where?: LoadedConfig['where']
  /** How many ports after a configured one are tried where another program has that. */
  readonly nextPorts?: number
  readonly inherited?: InheritedSockets & Partial<Pick<Inheritance, 'isSuccessor'>>
}

const ENGINE_WENT = 'the container engine has gone away, perhaps to restart: this session may end'

/** Hours of rules, ends of keys and changes of their files come without an event. */
const REVIEW_EVERY_MS = 30_000

/** @throws HatchwayError CONFIG_INVALID (keys, addresses); an engine that is down is no error */
export function startGateway(config: Config, log: Logger, start: GatewayStart = {}): Promise<Gateway> {
  return opened((scope) => openGateway(scope, config, log, start))
}

async function openGateway(
  scope: Scope,
  config: Config,
  log: Logger,
  { where, nextPorts = 0, inherited = { sockets: [] } }: GatewayStart,
): Promise<Gateway> {
  const readiness = createReadiness()
  readiness.block('start', 'the gateway starts')
  const watching = await openWatching(scope, config, readiness, inherited.isSuccessor, log)
  const ground = await openGround(scope, config, watching, log)
  const { engine, hostKeys } = ground
  const name = gatewayFacts(ground.instance || undefined)
  const { emit, join } = createEventStream(
    name,
    () => engine.endpoint,
    (error) => log.error({ err: error }, 'an event could not be read'),
  )
  join(logEvents(log, config.log.files))
  if (watching) join(watching.read)
  const audit = await openAuditing(scope, config, () => connections, log)
  if (audit) join(audit.read)
  // Behind all others, so that what they do at their end is told before; the trail is closed after it.
  scope.add(emit, () => emit({ type: 'gateway-ended' }))
  const recorder = await openRecording(scope, config, ground.instance || undefined, name, emit, log)
  if (recorder) join(recorder.read)
  const inside = openInside(scope, config, ground, emit, log)
  const inForce = createInForce(config, ground, where, log, emit)
  const registry: SessionRegistry = new SessionRegistry({
    opened: (session) => connections.sessionOpened(session),
    ended: (session) => connections.sessionEnded(session),
  })
  const connections = new ConnectionRegistry(registry, emit, audit?.demandRecord)
  const server = openServer(
    scope,
    config,
    { ground, inside, inForce, registry, connections, audit, recorder, emit },
    log,
  )
  const engines = Object.keys(config.engines ?? {})
  watchGateway({ engine, engines, server, registry, connections, guests: inside.guests, audit }, readiness, watching)
  const stopped = openRounds(scope, inForce.review, log)
  const engineWatch = createEngineWatch(engine, (one) => adviceOn(config, one), log, stopped)
  inside.containers
    .follow(stopped, (event) => {
      engineWatch.heard(event)
      if (event.type !== 'lost') return
      registry.tellAll(ENGINE_WENT, ({ container }) => container.engine === event.engine)
    })
    .catch((error: unknown) => log.error({ err: error }, 'lost the engine’s events'))
  void engineWatch.begin()
  const kill = (what: 'session' | 'connection', id: string, by?: string) =>
    killLive(what, id, { registry, connections, emit }, by)
  const page = { registry, connections, kill, emit }
  const admin = await openAdministering(scope, config, page, inherited.isSuccessor, log)
  const endpoints = await listenOn(server, config.listen, nextPorts, inherited)
  readiness.block('start')
  emit({ type: 'gateway-started', pid: process.pid, listen: endpoints })
  let isReleased = false
  return {
    endpoints,
    readiness,
    hostKeys,
    engine,
    registry,
    connections,
    descriptors: server.descriptors,
    async stopListening() {
      readiness.block('draining', 'the gateway takes no new connections')
      await server.close()
      if (!isReleased) emit({ type: 'gateway-released', connections: server.connections() })
      isReleased = true
      // The next gateway, by hand-over or by a fresh start, is watched at the same place.
      await Promise.all([watching?.leave(), admin?.leave()])
    },
    open: server.connections,
    idle: server.idle,
    inject: server.inject,
    async reload(next) {
      const done = await inForce.reload(stopped, next)
      emit({ type: 'reloaded', ...done })
      return done
    },
    reloadRefused: (problems) => emit({ type: 'reload-refused', problems }),
    kill,
    adminToken: (name) => (isReleased ? undefined : admin?.issue(name)),
    async drain(signal, why) {
      readiness.block('draining', 'the gateway is shutting down')
      await server.close()
      emit({ type: 'draining', sessions: registry.size, ...why })
      return registry.drained(signal)
    },
    close: scope.close,
  }
}

type Inside = ReturnType<typeof openInside>

/** What finds, makes, starts and enters containers. */
function openInside(
  scope: Scope,
  config: FixedConfig,
  { engine, state, instance, watching }: Ground,
  emit: EmitEvent,
  log: Logger,
) {
  const { templates = {}, guest, guestMount: mountedAt } = config
  const containers = new Containers(engine, config.aliases)
  const made =
    instance && makesContainers(config) ? createMadeContainers(engine, templates, instance, log, emit) : undefined
  scope.add(made, () => made?.close())
  const road = scope.add(createPlainRoad(engine), (plain) => plain.settled())
  const delivery = { stateFolder: state, ...(instance && { instance }), ...(mountedAt !== undefined && { mountedAt }) }
  const settings = { mode: guest, ...delivery, delivered: watching?.delivered }
  const guests = guest === 'off' ? undefined : createGuestPool(engine, settings, log)
  scope.add(guests, () => guests?.close())
  const forget = (id: string) => containers.forget({ type: 'container', action: 'changed', id })
  const starter = scope.add(createStarter(engine, config, forget, log, emit), (it) => it.close())
  return { containers, made, road, guests, forget, starter }
}

/** The SSH server, and what its connections may do. */
function openServer(
  scope: Scope,
  config: FixedConfig,
  parts: {
    ground: Ground
    inside: Inside
    inForce: InForce
    registry: SessionRegistry
    connections: ConnectionRegistry
    audit: Audit | undefined
    recorder: Recorder | undefined
    emit: EmitEvent
  },
  log: Logger,
): SshServer<Identity> {
  const { ground, inside, inForce, registry, connections, audit, recorder, emit } = parts
  const { policy, people, config: current } = inForce
  const { hostSuffixes } = config
  const led: Led = (closed, container) => connections.leadsTo(closed, container)
  const destinations = createDestinations({
    ...inside,
    policy: policy.decide,
    hostSuffixes,
    emit,
    led,
    demandRecord: audit?.demandRecord,
  })
  const dependencies: ConnectionDependencies = {
    ...inside,
    emit,
    destinations,
    policy,
    registry,
    connections,
    environment: () => current().environment.set,
    binds: config,
    killTree: () => current().onDisconnect === 'killTree',
    unrestrictedShells: () => current().unrestrictedShells,
    logCommands: config.log.commands,
    record: recorder?.begin,
    templateRecord: templateRecord(config),
    times: ground.watching?.times,
    pickLines: config.picker.style === 'lines',
    pickAgain: config.picker.again,
    tapFiles: (whose, session, start) => {
      const isRecorded = recorder?.wantsFiles(session.id) === true
      const hashes = isRecorded || (audit !== undefined && config.audit.hashes)
      if (!config.log.files && !audit && !isRecorded) return undefined
      return fileTapFor(start, session.tty, (operation) => emit({ type: 'sftp', whose, session, operation }), hashes)
    },
    limits: () => current().limits,
    motd: async () => {
      const { motd } = current()
      return motd === undefined ? undefined : readMotd(motd)
    },
    answer: createAnswers({ hostKeys: ground.hostKeys.map(publicLine), hostSuffixes }),
    holds: (identity, context) => people().login.holds(identity, context),
    inject: (stream, remote, local, carried) => server.inject(stream, remote, local, carried),
  }
  const server = createSshServer<Identity>({
    hostKeys: ground.hostKeys.map(({ file, privateKey }) => ({ file, bytes: privateKey })),
    hostCertificates: ground.hostCertificates,
    limits: () => current().limits,
    approach: createApproach({ proxies: () => current().proxyProtocol.from }),
    ciphers: config.ciphers,
    authenticator: { ...followed(people), admit: createAdmit(destinations, led, log) },
    ...(ground.banner !== undefined && { banner: ground.banner }),
    connection: createConnections(dependencies, log),
    observe: emit,
  })
  return scope.add(server, async () => {
    await server.close()
    server.disconnectAll('the gateway is shutting down')
  })
}

/** Where no instance could be opened, a process has a name all the same. */
function gatewayFacts(instance: Instance | undefined): GatewayName {
  return { id: instance?.gateway ?? '', process: instance?.id ?? randomBytes(16).toString('hex'), host: hostname() }
}

/** Reviews, round after round. What goes on in the background is the first to end: by the signal that is returned. */
function openRounds(scope: Scope, review: (signal: AbortSignal) => Promise<unknown>, log: Logger): AbortSignal {
  const stopped = new AbortController()
  const failed = (error: unknown) => log.error({ err: error }, 'sessions could not be reviewed')
  scope.add(
    every(REVIEW_EVERY_MS, () => review(stopped.signal), failed),
    (rounds) => rounds.stop(),
  )
  return scope.add(stopped, () => stopped.abort()).signal
}
