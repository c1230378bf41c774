/** The composition root: a configuration becomes an engine, a handler and a listening server. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type HostKey, loadHostKeys } from './auth/hostkeys.ts'
import type { Identity } from './auth/identity.ts'
import { Lockout } from './auth/lockout.ts'
import { createUsedSteps } from './auth/used-steps.ts'
import { HatchwayError, messageOf } from './base/errors.ts'
import { openInstance } from './base/instance.ts'
import type { LoadedConfig } from './config/load.ts'
import { changedKeys, needRestart, PEOPLE_KEYS, whyNotLive } from './config/reload.ts'
import type { Config } from './config/schema.ts'
import { Containers } from './container/containers.ts'
import { createStarter } from './container/lifecycle/starter.ts'
import { createPlainRoad } from './container/plain.ts'
import { createMadeContainers } from './container/templates/template-containers.ts'
import { openEngine } from './engine/choose.ts'
import type { Engine } from './engine/engine.ts'
import { engineLimit } from './engine/messages.ts'
import { createGuestPool } from './guest/pool.ts'
import { withDeadline } from './lifetime/deadline.ts'
import { every } from './lifetime/every.ts'
import { opened, type Scope } from './lifetime/scope.ts'
import { createEventBus } from './observe/events.ts'
import type { Logger } from './observe/log.ts'
import { logEvents } from './observe/log-events.ts'
import { createPolicyKeeper } from './policy/live-policy.ts'
import { openExternal } from './policy/open-external.ts'
import type { PolicySettings } from './policy/policy.ts'
import { createAdmit } from './session/admit.ts'
import { type ConnectionDependencies, createConnections } from './session/connection.ts'
import { createDestinations } from './session/destination.ts'
import { readMotd } from './session/motd.ts'
import { followed, openPeople } from './session/people.ts'
import { SessionRegistry } from './session/registry.ts'
import { createSftpTap } from './sftp/tap.ts'
import type { Endpoint } from './ssh/connection.ts'
import { createApproach } from './ssh/preamble/preamble.ts'
import { createSshServer, type SshServer } from './ssh/server.ts'

/** How long the engine may take to answer at start; later it may come and go. */
const ENGINE_LIMIT_MS = 20_000

export interface Gateway {
  readonly endpoints: readonly Endpoint[]
  readonly hostKeys: readonly HostKey[]
  readonly engine: Engine
  readonly registry: SessionRegistry
  /** Serve one connection over any stream: stdin and stdout, a channel of another connection. */
  inject: SshServer<Identity>['inject']
  /**
   * Look at key files now and take over what may change of a configuration that was read again.
   * @throws HatchwayError CONFIG_INVALID: everything stays as it was
   */
  reload(next?: LoadedConfig): Promise<Reloaded>
  /** Take no new connections and wait until every session ended (true) or the signal aborts (false). */
  drain(signal: AbortSignal): Promise<boolean>
  /** End everything now. Idempotent. */
  close(): Promise<void>
}

/** What a reload did. */
export interface Reloaded {
  /** Keys that may log in. */
  readonly keys: number
  /** Keys of the configuration that changed and need a restart. */
  readonly restart: readonly string[]
  /** Sessions and forwards that are not permitted any more. */
  readonly ended: number
}

/** Hours of rules, ends of keys and changes of their files come without an event. */
const REVIEW_EVERY_MS = 30_000

/** @throws HatchwayError CONFIG_INVALID (keys, addresses); an engine that is down is no error */
export function startGateway(config: Config, log: Logger, where?: LoadedConfig['where']): Promise<Gateway> {
  return opened((scope) => openGateway(scope, config, log, where))
}

async function openGateway(
  scope: Scope,
  config: Config,
  log: Logger,
  where: LoadedConfig['where'] | undefined,
): Promise<Gateway> {
  const events = createEventBus((error) => log.error({ err: error }, 'an event listener failed'))
  events.listen(logEvents(log), { files: config.log.files })
  // At the same time: `hatchway stdio` is waited for.
  const opening = withDeadline(ENGINE_LIMIT_MS, [], (limit) =>
    openEngine({ ...config.engine, lazy: true }, limit).then((engine) => scope.add(engine, () => engine.close())),
  )
  opening.catch(() => {})
  const state = join(config.keysDirectory, 'state')
  const { templates = {} } = config
  const makes = Object.keys(templates).length > 0
  const tried = { usedSteps: createUsedSteps(join(state, 'totp')), lockout: new Lockout() }
  const [instance, hostKeys, hostCertificates, firstPeople, banner] = await Promise.all([
    // Where it cannot be written only what is made from templates needs it.
    openInstance(state).then(
      (instance) => scope.add(instance, () => instance.close()),
      (error: unknown) => {
        if (makes) throw error
        log.warn({ err: error }, 'other gateways with this keysDirectory cannot tell that this one lives')
      },
    ),
    loadHostKeys(config, (sentence) => log.warn(sentence)),
    Promise.all(config.hostCertificates.map(async (file) => ({ file, bytes: await readConfigured(file) }))),
    openPeople(config, tried, log),
    config.banner === undefined ? undefined : readBanner(config.banner, log),
  ])
  let current = config
  let people = firstPeople
  const engine = await opening
  const containers = new Containers(engine, config.aliases)
  const made = instance && makes ? createMadeContainers(engine, templates, instance, log) : undefined
  scope.add(made, () => made?.close())
  const road = scope.add(createPlainRoad(engine), (plain) => plain.settled())
  const guests =
    config.guest === 'off'
      ? undefined
      : createGuestPool(
          engine,
          {
            mode: config.guest,
            stateFolder: state,
            ...(instance && { instance }),
            ...(config.guestMount !== undefined && { mountedAt: config.guestMount }),
          },
          log,
        )
  scope.add(guests, () => guests?.close())
  const registry = new SessionRegistry({
    created: (session) => events.emit({ type: 'session-created', session }),
    running: (session) => events.emit({ type: 'session-running', session }),
    stopped: (session) => events.emit({ type: 'session-stopped', session }),
  })
  const forget = (id: string) => containers.forget({ type: 'container', action: 'changed', id })
  const starter = scope.add(createStarter(engine, config, forget, log), (it) => it.close())
  const policySettings = (settings: Config, where: LoadedConfig['where'] | undefined): PolicySettings => {
    const common = { acceptEnv: settings.environment.accept, engine: engine.endpoint }
    const external = openExternal(settings.authorization, common, log)
    return { ...common, rules: settings.rules, where: (index) => where?.(['rules', index]), external }
  }
  const policy = createPolicyKeeper(policySettings(config, where), (identity) => people.login.today(identity), log)
  const { hostSuffixes } = config
  const destinations = createDestinations({ containers, starter, made, policy: policy.decide, hostSuffixes, log })
  const dependencies: ConnectionDependencies = {
    road,
    destinations,
    guests,
    policy,
    registry,
    forget,
    environment: () => current.environment.set,
    binds: config,
    killTree: () => current.onDisconnect === 'killTree',
    unrestrictedShells: () => current.unrestrictedShells,
    logCommands: config.log.commands,
    pickLines: config.picker === 'lines',
    tapSftp: (session) =>
      events.wantsFiles ? createSftpTap((operation) => events.emit({ type: 'sftp', session, operation })) : undefined,
    limits: () => current.limits,
    motd: async () => (current.motd === undefined ? undefined : readMotd(current.motd)),
    holds: (identity, context) => people.login.holds(identity, context),
    inject: (stream, remote, local, carried) => server.inject(stream, remote, local, carried),
  }
  const server = createSshServer<Identity>({
    hostKeys: hostKeys.map(({ file, privateKey }) => ({ file, bytes: privateKey })),
    hostCertificates,
    limits: () => current.limits,
    approach: createApproach({ proxies: () => current.proxyProtocol.from }),
    ciphers: config.ciphers,
    authenticator: { ...followed(() => people), admit: createAdmit(destinations, log) },
    ...(banner !== undefined && { banner }),
    connection: createConnections(dependencies, log),
    observe: (event) => events.emit(event),
  })
  scope.add(server, async () => {
    await server.close()
    server.disconnectAll('the gateway is shutting down')
  })

  async function reload(next?: LoadedConfig): Promise<Reloaded> {
    const restart = next ? await takeOver(next) : []
    const keys = await people.keys.reload()
    return { keys, restart, ended: await review() }
  }

  /** All that may fail comes first, so that it is all or nothing. Answers what needs a restart. */
  async function takeOver(next: LoadedConfig): Promise<readonly string[]> {
    const reason = whyNotLive(current, next.config)
    if (reason !== undefined) throw new HatchwayError('CONFIG_INVALID', reason)
    const changed = changedKeys(current, next.config)
    const settings = policySettings(next.config, next.where)
    if (PEOPLE_KEYS.some((key) => changed.includes(key)))
      people = await openPeople({ ...next.config, hostSuffixes }, tried, log)
    policy.use(settings)
    policy.forget()
    current = next.config
    return needRestart(changed)
  }

  const stopped = new AbortController()
  async function review(): Promise<number> {
    policy.forget()
    return current.endWithdrawn ? policy.review(stopped.signal) : 0
  }
  const reviewFailed = (error: unknown) => log.error({ err: error }, 'sessions could not be reviewed')
  scope.add(every(REVIEW_EVERY_MS, review, reviewFailed), (rounds) => rounds.stop())
  // What goes on in the background is the first to end.
  scope.add(stopped, () => stopped.abort())
  containers.follow(stopped.signal).catch((error: unknown) => log.error({ err: error }, 'lost the engine’s events'))
  withDeadline(engineLimit('its version', ENGINE_LIMIT_MS), [stopped.signal], (limit) => engine.info(limit)).catch(
    (error: unknown) => {
      if (stopped.signal.aborted) return
      log.warn({ endpoint: engine.endpoint, err: error }, `sessions must wait: ${messageOf(error)}`)
    },
  )

  const endpoints: Endpoint[] = []
  try {
    for (const { host, port } of config.listen) endpoints.push(await server.listen(host, port))
  } catch (error) {
    throw new HatchwayError('CONFIG_INVALID', `cannot listen: ${messageOf(error)}`, {
      cause: error,
    })
  }
  return {
    endpoints,
    hostKeys,
    engine,
    registry,
    inject: server.inject,
    reload,
    async drain(signal) {
      await server.close()
      events.emit({ type: 'draining', sessions: registry.size })
      return registry.drained(signal)
    },
    close: scope.close,
  }
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
