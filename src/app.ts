/** The composition root: a configuration becomes an engine, what a connection may do, and a listening server. */
import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { keyProgramsWaiting } from './auth/helper-program.ts'
import { type HostKey, loadHostKeys, publicLine } from './auth/hostkeys.ts'
import type { Identity } from './auth/identity.ts'
import { Lockout } from './auth/lockout.ts'
import { passwordsWaiting } from './auth/password-hash.ts'
import { createUsedSteps } from './auth/used-steps.ts'
import { HatchwayError, messageOf } from './base/errors.ts'
import { type Instance, openInstance } from './base/instance.ts'
import { listenAdvice } from './base/listen-advice.ts'
import { part } from './base/parts.ts'
import { checkLending } from './bytes/shared-read-buffer.ts'
import type { LoadedConfig } from './config/load.ts'
import type { Config, FixedConfig } from './config/schema.ts'
import { Containers } from './container/containers.ts'
import { createStarter } from './container/lifecycle/starter.ts'
import { createPlainRoad } from './container/plain.ts'
import { createMadeContainers } from './container/templates/template-containers.ts'
import { adviceOn } from './engine/advice.ts'
import { createEngineHealth } from './engine/answers.ts'
import type { Engine } from './engine/engine.ts'
import { openEngines } from './engine/open.ts'
import type { Audit } from './evidence/audit/audit.ts'
import { createGuestPool } from './guest/pool.ts'
import { withDeadline } from './lifetime/deadline.ts'
import { every } from './lifetime/every.ts'
import { opened, type Scope } from './lifetime/scope.ts'
import { createEventStream } from './observe/event-stream.ts'
import type { DrainingEvent, EmitEvent, GatewayName } from './observe/events.ts'
import type { Logger } from './observe/log.ts'
import { logEvents } from './observe/log-events.ts'
import type { Watch } from './observe/metrics/watch.ts'
import { createReadiness, type Readiness } from './observe/readiness.ts'
import { type Inheritance, socketsFor } from './process/inheritance.ts'
import { createAdmit } from './session/admit.ts'
import { type ConnectionDependencies, createConnections } from './session/connection.ts'
import { ConnectionRegistry } from './session/connection-registry.ts'
import { createDestinations, type Led } from './session/destination.ts'
import { createEngineWatch, engineNotices } from './session/engine-watch.ts'
import { createAnswers } from './session/gateway-command.ts'
import { createInForce, type InForce, type Reloaded } from './session/in-force.ts'
import { readMotd } from './session/motd.ts'
import { followed, openPeople } from './session/people.ts'
import { SessionRegistry } from './session/registry.ts'
import { createSftpTap } from './sftp/tap.ts'
import type { Endpoint } from './ssh/connection.ts'
import { createApproach } from './ssh/preamble/preamble.ts'
import { createSshServer, type SshServer } from './ssh/server.ts'

const loadAudit = part(() => import('./evidence/audit/audit.ts'))
const loadWatch = part(() => import('./observe/metrics/watch.ts'))

/** How long the choice of an engine may take at start; later it may come and go. */
const ENGINE_LIMIT_MS = 20_000

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
  /** Take no new connections and wait until every session ended (true) or the signal aborts (false). */
  drain(signal: AbortSignal, why: Pick<DrainingEvent, 'graceMs' | 'signal'>): Promise<boolean>
  /** End everything now. Idempotent. */
  close(): Promise<void>
}

export interface GatewayStart {
  readonly where?: LoadedConfig['where']
  /** How many ports after a configured one are tried where another program has that. */
  readonly nextPorts?: number
  /** Sockets that listen already. Without addresses they are all, and the configuration's do not count. */
  readonly inherited?: Pick<Inheritance, 'sockets' | 'addresses'> & Partial<Pick<Inheritance, 'isSuccessor'>>
}

const UNRECORDED = 'ended: the audit trail cannot be written'
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
  const { emit, join } = createEventStream(
    gatewayFacts(ground.instance || undefined),
    () => engine.endpoint,
    (error) => log.error({ err: error }, 'an event could not be read'),
  )
  join(logEvents(log, config.log.files))
  if (watching) join(watching.read)
  const audit = await openTrailOf(
    scope,
    config,
    (spared) => {
      for (const { connectionId, identity } of connections.list())
        if (!spared(identity.name)) connections.kill(connectionId, UNRECORDED)
    },
    log,
  )
  if (audit) {
    join(audit.read)
    readiness.add('audit', audit.check)
  }
  // Behind all others, so that what they do at their end is told before; the trail is closed after it.
  scope.add(emit, () => emit({ type: 'gateway-ended' }))
  const inside = openInside(scope, config, ground, emit, log)
  const inForce = createInForce(config, ground, where, log, emit)
  const registry: SessionRegistry = new SessionRegistry({
    opened: (session) => connections.sessionOpened(session),
    ended: (session) => connections.sessionEnded(session),
  })
  const connections = new ConnectionRegistry(registry, emit)
  const server = openServer(scope, config, { ground, inside, inForce, registry, connections, audit, emit }, log)
  const health = createEngineHealth(engine, Object.keys(config.engines ?? {}))
  readiness.add('engine', health.ask)
  watching?.from({
    engineKind: () => engine.kind,
    engines: health.known,
    connections: () => ({ all: server.connections(), loggedIn: connections.size }),
    traffic: () => ({ session: registry.traffic(), forward: connections.forwardTraffic() }),
    forwards: () => connections.forwards(),
    listeners: () => connections.listeners(),
    helpers: () => inside.guests?.count().live ?? 0,
    audit: () => audit?.lag(),
    queues: () => ({
      key_exchanges: server.exchangesWaiting(),
      passwords: passwordsWaiting(),
      key_programs: keyProgramsWaiting(),
      session_starts: registry.starting,
      helper_deliveries: inside.guests?.count().arriving ?? 0,
    }),
  })
  const stopped = openRounds(scope, inForce.review, log)
  const watch = createEngineWatch(engine, (one) => adviceOn(config, one), log, stopped)
  inside.containers
    .follow(stopped, (event) => {
      watch.heard(event)
      if (event.type !== 'lost') return
      registry.tellAll(ENGINE_WENT, ({ container }) => container.engine === event.engine)
    })
    .catch((error: unknown) => log.error({ err: error }, 'lost the engine’s events'))
  void watch.begin()
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
      await watching?.leave()
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
    kill: (what, id) => (what === 'session' ? killSession : killConnection)(id, { registry, connections, emit }),
    async drain(signal, why) {
      readiness.block('draining', 'the gateway is shutting down')
      await server.close()
      emit({ type: 'draining', sessions: registry.size, ...why })
      return registry.drained(signal)
    },
    close: scope.close,
  }
}

/** Loaded only where it is asked for. */
async function openTrailOf(
  scope: Scope,
  { audit, keysDirectory }: FixedConfig,
  endAll: (spared: (name: string) => boolean) => void,
  log: Logger,
): Promise<Audit | undefined> {
  const { file } = audit
  if (file === undefined) return undefined
  const { openAudit } = await loadAudit()
  return scope.add(await openAudit({ ...audit, file }, keysDirectory, endAll, log), (opened) => opened.close())
}

/** Before everything else: its port may be taken, and whoever supervises the start asks there. */
async function openWatching(
  scope: Scope,
  { metrics }: FixedConfig,
  readiness: Readiness,
  takesOver: boolean | undefined,
  log: Logger,
) {
  if (metrics.listen.kind === 'none') return undefined
  const { openWatch } = await loadWatch()
  return scope.add(await openWatch(metrics.listen, readiness, log, takesOver), (watch) => watch.close())
}

type Ground = Awaited<ReturnType<typeof openGround>>

/** What everything else stands on: the engine, and what is read from files. At the same time: `hatchway stdio` is waited for. */
async function openGround(scope: Scope, config: Config, watching: Watch | undefined, log: Logger) {
  const opening = withDeadline(ENGINE_LIMIT_MS, [], (limit) =>
    openEngines(config, limit, { lazy: true, notice: engineNotices(log), meter: watching?.meterCall }).then((engine) =>
      scope.add(engine, () => engine.close()),
    ),
  )
  opening.catch(() => {})
  const state = join(config.keysDirectory, 'state')
  const tried = { usedSteps: createUsedSteps(join(state, 'totp')), lockout: new Lockout() }
  const [instance, hostKeys, hostCertificates, people, banner] = await Promise.all([
    // Where it cannot be written only what is made from templates needs it.
    openInstance(state).then(
      (instance) => scope.add(instance, () => instance.close()),
      (error: unknown) => {
        if (makesContainers(config)) throw error
        log.warn({ err: error }, 'other gateways with this keysDirectory cannot tell that this one lives')
      },
    ),
    loadHostKeys(config, (sentence) => log.warn(sentence)),
    Promise.all(config.hostCertificates.map(async (file) => ({ file, bytes: await readConfigured(file) }))),
    openPeople(config, tried, log),
    config.banner === undefined ? undefined : readBanner(config.banner, log),
    checkLending().then((lends) => {
      if (!lends)
        log.warn({ node: process.version }, 'this node cannot read into a shared buffer: each byte costs more CPU')
    }),
  ])
  return { watching, engine: await opening, state, instance, hostKeys, hostCertificates, tried, people, banner }
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
    emit: EmitEvent
  },
  log: Logger,
): SshServer<Identity> {
  const { ground, inside, inForce, registry, connections, audit, emit } = parts
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
    times: ground.watching?.times,
    pickLines: config.picker.style === 'lines',
    pickAgain: config.picker.again,
    tapSftp: (whose, session) =>
      config.log.files || audit
        ? createSftpTap((operation) => emit({ type: 'sftp', whose, session, operation }))
        : undefined,
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

interface Registries {
  readonly registry: SessionRegistry
  readonly connections: ConnectionRegistry
  readonly emit: EmitEvent
}

/** Told of first, so that its end comes after. */
function killSession(id: string, { registry, connections, emit }: Registries): boolean {
  const session = registry.list().find((live) => live.id === id)
  if (!session) return false
  const { connectionId, remote, identity, container, user } = session
  const { login = '' } = connections.list().find((live) => live.connectionId === connectionId) ?? {}
  const whose = { connectionId, remote, identity, login }
  emit({ type: 'killed', what: 'session', sessionId: id, whose, container, user })
  return registry.kill(id)
}

function killConnection(id: string, { connections, emit }: Registries): boolean {
  const connection = connections.list().find(({ connectionId }) => connectionId === id)
  if (!connection) return false
  const { connectionId, remote, identity, login, container } = connection
  const whose = { connectionId, remote, identity, login }
  emit({ type: 'killed', what: 'connection', whose, ...(container && { container }) })
  return connections.kill(id)
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

async function listenOn(
  server: SshServer<Identity>,
  addresses: Config['listen'],
  nextPorts: number,
  inherited: NonNullable<GatewayStart['inherited']>,
): Promise<Endpoint[]> {
  const endpoints: Endpoint[] = []
  if (inherited.sockets.length > 0 && inherited.addresses === undefined) {
    for (const descriptor of inherited.sockets) endpoints.push(await adopt(server, descriptor))
    return endpoints
  }
  const sockets = await socketsFor(addresses, inherited, nextPorts)
  for (const [index, { host, port }] of addresses.entries()) {
    const descriptor = sockets[index]
    endpoints.push(
      descriptor === undefined
        ? await listenNear(server, host, port, port + nextPorts)
        : await adopt(server, descriptor),
    )
  }
  return endpoints
}

async function adopt(server: SshServer<Identity>, descriptor: number): Promise<Endpoint> {
  try {
    return await server.adopt(descriptor)
  } catch (error) {
    const sentence = `the socket that was handed over (descriptor ${descriptor}) cannot be used: ${messageOf(error)}`
    throw new HatchwayError('CONFIG_INVALID', sentence, { cause: error })
  }
}

async function listenNear(server: SshServer<Identity>, host: string, port: number, last: number): Promise<Endpoint> {
  try {
    return await server.listen(host, port)
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : undefined
    if (code === 'EADDRINUSE' && port < last) return listenNear(server, host, port + 1, last)
    const advice = listenAdvice(code, port)
    throw new HatchwayError('CONFIG_INVALID', `cannot listen: ${messageOf(error)}: ${advice}`, { cause: error })
  }
}

function makesContainers({ templates = {} }: FixedConfig): boolean {
  return Object.keys(templates).length > 0
}

/** @throws HatchwayError CONFIG_INVALID naming the file */
async function readConfigured(file: string): Promise<Buffer> {
  try {
    return await readFile(file)
  } catch (error) {
    throw new HatchwayError('CONFIG_INVALID', `cannot read ${file}`, { cause: error })
  }
}

/** As sshd, nobody is kept out by a banner that cannot be read (auth2.c userauth_banner). */
async function readBanner(file: string, log: Logger): Promise<string | undefined> {
  try {
    return (await readFile(file)).toString()
  } catch (error) {
    log.warn({ file, reason: messageOf(error) }, 'the banner cannot be read: none is shown')
    return undefined
  }
}
