/** `hatchway serve`: runs the gateway, from start to the last session's end. Resolves with the exit code. */
import { setTimeout as later } from 'node:timers/promises'
import { type Gateway, startGateway } from '../app.ts'
import { publicLine } from '../auth/hostkeys.ts'
import { inWords } from '../base/duration.ts'
import { asHatchwayError } from '../base/errors.ts'
import { loadAllParts } from '../base/parts.ts'
import { PROGRAM_NAME } from '../base/program-name.ts'
import { isUsualAddress, type LoadedConfig } from '../config/load.ts'
import type { Config } from '../config/schema.ts'
import { runningGateways } from '../control/running.ts'
import { type Control, openControl } from '../control/server.ts'
import { deadline } from '../lifetime/deadline.ts'
import { deferred } from '../lifetime/deferred.ts'
import { onAbort } from '../lifetime/on-abort.ts'
import { createLog, type Logger } from '../observe/log.ts'
import { nativeCryptoAvailable } from '../ssh/ssh2.ts'
import { commandToType, writeKnownHosts } from './command-to-type.ts'
import { hangUp } from './hang-up.ts'
import { createReloader, type Reloader } from './reloader.ts'

/** A client with its exit status disconnects by itself; if we disconnect it first, OpenSSH's exits 255 all the same. */
const LAST_WORDS_MS = 1_000
/** Whatever hangs in close(), the process ends. */
const CLOSE_MS = 5_000

/** From the usual port on, where nobody has chosen one: Vagrant begins there, too, and a gateway of one's own may run. */
const NEXT_PORTS = 10

export async function serve(loaded: LoadedConfig): Promise<number> {
  const { config, file, warnings } = loaded
  const { log, reopen, close: closeLog } = await createLog(config.log)
  surviveOwnFaults(log)
  for (const warning of warnings) log.warn(warning)
  log.info({ pid: process.pid, node: process.version, config: file }, 'starting')
  if (!nativeCryptoAvailable())
    log.warn(`ssh2 has no native binding and ciphers at half the speed: \`${PROGRAM_NAME} doctor\``)

  // From here on signals are handled, also those that come while the gateway starts.
  const signals = listenToSignals()
  let gateway: Gateway
  try {
    gateway = await startGateway(config, log, {
      where: loaded.where,
      nextPorts: isUsualAddress(loaded) ? NEXT_PORTS : 0,
    })
  } catch (error) {
    await closeLog()
    throw error
  }
  const reloader = createReloader(loaded, gateway, log)
  const control = await openControlSocket(config, gateway, reloader, log)
  signals.onReload(() => {
    reopen()
    reloader.reload().catch((error: unknown) => log.error({ err: error }, 'the configuration could not be reloaded'))
  })
  await announce(gateway, config, await writeKnownHosts(gateway, config), log)
  const firstStop = await signals.firstStop
  reloader.close()
  const secondStop = signals.secondStop
  await drain(gateway, { graceMs: config.shutdownGrace, signal: firstStop }, secondStop, log)
  await Promise.race([
    Promise.all([gateway.close(), control?.close()]).catch((error: unknown) =>
      log.error({ err: error }, 'while closing'),
    ),
    later(CLOSE_MS),
  ])
  log.info('stopped')
  await closeLog()
  signals.endOfHangUp()
  return 0
}

async function drain(gateway: Gateway, why: DrainReason, secondStop: AbortSignal, log: Logger): Promise<void> {
  const { graceMs } = why
  gateway.registry.refuseNew()
  if (graceMs > 0) gateway.registry.tellAll(`the gateway is shutting down: this session ends in ${inWords(graceMs)}`)
  const farewell = gateway.registry.size > 0 ? LAST_WORDS_MS : 0
  const patience = deadline(graceMs, secondStop)
  const drained = await gateway.drain(patience, why).catch((error: unknown) => {
    log.error({ err: error }, 'while draining')
    return false
  })
  if (drained) return Promise.race([later(farewell), aborted(secondStop)])
  log.warn({ sessions: gateway.registry.size }, secondStop.aborted ? 'stopping at once' : 'the grace is over')
  await hangUp(gateway.registry, 'ended: the gateway is shutting down')
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => onAbort(signal, () => resolve()))
}

type DrainReason = Parameters<Gateway['drain']>[1]

interface Signals {
  readonly firstStop: Promise<NodeJS.Signals>
  readonly secondStop: AbortSignal
  onReload(callback: () => void): void
  /** Where the terminal was closed: ends the process by that signal, since node's own exit aborts without its terminal. */
  endOfHangUp(): void
}

function listenToSignals(): Signals {
  const second = new AbortController()
  let stops = 0
  let hungUp = false
  let reload: () => void = () => undefined
  const first = deferred<NodeJS.Signals>()
  const stop = (signal: NodeJS.Signals) => {
    if (++stops === 1) first.resolve(signal)
    else second.abort()
  }
  process.on('SIGTERM', stop)
  process.on('SIGINT', stop)
  // At a terminal it says that the terminal was closed, and nobody would see this gateway any more. It may come twice, from
  // the shell and from the kernel, and only the first one is meant.
  const closed = (signal: NodeJS.Signals) => {
    if (hungUp) return
    hungUp = true
    stop(signal)
  }
  process.on('SIGHUP', process.stderr.isTTY ? closed : () => reload())
  return {
    firstStop: first.promise,
    secondStop: second.signal,
    onReload: (callback) => {
      reload = callback
    },
    endOfHangUp: () => {
      if (!hungUp) return
      process.removeAllListeners('SIGHUP')
      process.kill(process.pid, 'SIGHUP')
    },
  }
}

/** Without the socket nobody can list or kill sessions, but people can work: only a configured one must open. */
async function openControlSocket(
  config: Config,
  gateway: Gateway,
  reloader: Reloader,
  log: Logger,
): Promise<Control | undefined> {
  const startedAt = Date.now()
  const hostKeys = gateway.hostKeys.map(publicLine)
  try {
    const control = await openControl(config.controlSocket, {
      status: () => ({ pid: process.pid, startedAt, endpoints: gateway.endpoints, hostKeys }),
      sessions: (options) => gateway.registry.list(options),
      connections: () => gateway.connections.list(),
      kill: (id) => gateway.kill('session', id),
      killConnection: (id) => gateway.kill('connection', id),
      reload: () => reloader.reload(),
    })
    log.debug({ path: control.path }, 'control socket')
    return control
  } catch (error) {
    if (config.controlSocket !== undefined) {
      await gateway.close()
      throw error
    }
    log.warn(`${asHatchwayError(error).message}: \`${PROGRAM_NAME} sessions\` and \`kill\` will not work`)
    return undefined
  }
}

async function announce(gateway: Gateway, config: Config, knownHosts: string | undefined, log: Logger): Promise<void> {
  for (const { type, fingerprint, file } of gateway.hostKeys) log.info({ type, fingerprint, file }, 'host key')
  for (const [index, { address, port }] of gateway.endpoints.entries()) {
    log.info({ host: address, port }, 'listening')
    const wanted = config.listen[index]?.port
    if (wanted !== undefined && wanted !== 0 && wanted !== port) {
      const who = await whoListens(wanted)
      log.warn({ wanted, port }, `${who} has the usual port: listening at the next one that is free`)
    }
  }
  commandToType(gateway, config, knownHosts)
    .then((command) => log.info(process.stderr.isTTY ? `to enter a container: ${command}` : { command }, 'ready'))
    .catch((error: unknown) => log.debug({ err: error }, 'no command to show'))
    .then(loadAllParts)
    .then(() => log.debug('the whole program is loaded'))
    .catch((error: unknown) => log.error({ err: error }, 'a part of the program cannot be loaded: install it anew'))
}

async function whoListens(port: number): Promise<string> {
  const own = await runningGateways(undefined)
  const isOwn = own.some(({ endpoints }) => endpoints.some((endpoint) => endpoint.port === port))
  return isOwn ? 'another gateway of yours' : 'another program'
}

/**
 * An unhandled rejection concerns one connection; the others go on. An exception in a callback may have left anything
 * half done: the process ends, and its supervisor starts a new one.
 */
function surviveOwnFaults(log: Logger): void {
  process.on('unhandledRejection', (reason) => log.error({ err: reason }, 'unhandled rejection: a fault of ours'))
  process.on('uncaughtException', (error) => {
    log.fatal({ err: error }, 'uncaught exception: a fault of ours')
    setTimeout(() => process.exit(70), 500)
  })
}
