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
import { type Control, type ControlHandlers, openControl } from '../control/server.ts'
import { deadline } from '../lifetime/deadline.ts'
import { deferred } from '../lifetime/deferred.ts'
import { onAbort } from '../lifetime/on-abort.ts'
import { createLog, type Logger } from '../observe/log.ts'
import type { Inheritance } from '../process/inheritance.ts'
import { nativeCryptoAvailable } from '../ssh/ssh2.ts'
import { commandToType, writeKnownHosts } from './command-to-type.ts'
import { createHandOver, type HandOver } from './hand-over.ts'
import { hangUp } from './hang-up.ts'
import { createReloader, type Reloader } from './reloader.ts'

/** A client with its exit status disconnects by itself; if we disconnect it first, OpenSSH's exits 255 all the same. */
const LAST_WORDS_MS = 1_000
/** Whatever hangs in close(), the process ends. */
const CLOSE_MS = 5_000

/** EX_SOFTWARE: nobody told it to end. */
const SUCCESSOR_LOST = 70

/** From the usual port on, where nobody has chosen one: Vagrant begins there, too, and a gateway of one's own may run. */
const NEXT_PORTS = 10

export interface StartedWith {
  readonly inheritance: Inheritance
  /** Of this program. */
  readonly version: string
}

export async function serve(loaded: LoadedConfig, start: StartedWith): Promise<number> {
  const { config, file, warnings } = loaded
  const { inheritance, version } = start
  const { log, reopen, close: closeLog } = await createLog(config.log)
  surviveOwnFaults(log)
  for (const warning of warnings) log.warn(warning)
  log.info({ pid: process.pid, node: process.version, version, config: file }, 'starting')
  if (!nativeCryptoAvailable())
    log.warn(`ssh2 has no native binding and ciphers at half the speed: \`${PROGRAM_NAME} doctor\``)

  // From here on signals are handled, also those that come while the gateway starts.
  const signals = listenToSignals()
  let gateway: Gateway
  try {
    gateway = await startGateway(config, log, {
      where: loaded.where,
      nextPorts: isUsualAddress(loaded) ? NEXT_PORTS : 0,
      inherited: inheritance,
    })
  } catch (error) {
    await closeLog()
    throw error
  }
  const reloader = createReloader(loaded, gateway, log)
  let control: Control | undefined
  const { stopping } = signals
  const handOver = createHandOver({ gateway, control: () => control, inheritance, stopping }, log)
  const reload = () => {
    reopen()
    return reloader.reload()
  }
  control = await openControlSocket(config, { gateway, reload, handOver, start }, log)
  signals.onReload(() => {
    reload().catch((error: unknown) => log.error({ err: error }, 'the configuration could not be reloaded'))
  })
  await announce(gateway, config, await writeKnownHosts(gateway, config), inheritance, log)
  const { manager } = inheritance
  await manager
    ?.ready(() => void handOver.drain())
    .catch((error: unknown) => log.error({ err: error }, 'systemd could not be told that the gateway is ready'))
  await inheritance.say({ pid: process.pid, state: 'ready', version })
  signals.onRestart(() => {
    handOver.restart().catch((error: unknown) => log.error({ err: error }, 'could not hand over'))
  })
  // Who started this process waits for it, and signals it: it stays for as long as there is a gateway.
  const isWaitedFor = inheritance.rootLine === undefined && manager === undefined
  if (isWaitedFor) signals.passOn((signal) => handOver.successor?.signal(signal))

  const firstStop = await Promise.race([signals.firstStop, handOver.released])
  const stop = firstStop ?? (await goOn(gateway, config.drain.limit, signals, log))
  reloader.close()
  if (stop !== 'idle') await drain(gateway, { graceMs: config.shutdownGrace, ...stop }, signals.secondStop, log)
  await Promise.race([
    Promise.all([gateway.close(), control?.close()]).catch((error: unknown) =>
      log.error({ err: error }, 'while closing'),
    ),
    later(CLOSE_MS),
  ])
  log.info('stopped')
  await Promise.all([inheritance.say({ pid: process.pid, state: 'stopped' }), manager?.leave()])
  await closeLog()
  const { successor } = handOver
  const code = isWaitedFor && successor !== undefined && !(await successor.gone) ? SUCCESSOR_LOST : 0
  signals.endOfHangUp()
  return code
}

/** Until the last connection has ended. Returns what asks to end before, if anything does. */
async function goOn(
  gateway: Gateway,
  limitMs: number,
  { stopping, firstStop }: Signals,
  log: Logger,
): Promise<'idle' | Partial<DrainReason>> {
  const patience = limitMs === 0 ? stopping : deadline(limitMs, stopping)
  if (await gateway.idle(patience)) return 'idle'
  if (stopping.aborted) return { ...(await firstStop) }
  log.warn({ open: gateway.open() }, 'drain.limit is over')
  return {}
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
  readonly firstStop: Promise<{ readonly signal: NodeJS.Signals }>
  /** Of the first stop. */
  readonly stopping: AbortSignal
  readonly secondStop: AbortSignal
  onReload(callback: () => void): void
  onRestart(callback: () => void): void
  /** Called with each signal, before it is obeyed here. */
  passOn(callback: (signal: NodeJS.Signals) => void): void
  /** Where the terminal was closed: ends the process by that signal, since node's own exit aborts without its terminal. */
  endOfHangUp(): void
}

function listenToSignals(): Signals {
  const stopping = new AbortController()
  const second = new AbortController()
  let hungUp = false
  let reload: () => void = () => undefined
  let restart: (() => void) | undefined
  let isRestartWanted = false
  let passOn: (signal: NodeJS.Signals) => void = () => undefined
  const first = deferred<{ signal: NodeJS.Signals }>()
  const stop = (signal: NodeJS.Signals) => {
    passOn(signal)
    if (stopping.signal.aborted) return second.abort()
    first.resolve({ signal })
    stopping.abort()
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
  const reloadAll = (signal: NodeJS.Signals) => {
    passOn(signal)
    reload()
  }
  process.on('SIGHUP', process.stderr.isTTY ? closed : reloadAll)
  process.on('SIGUSR2', (signal) => {
    passOn(signal)
    isRestartWanted = true
    restart?.()
  })
  return {
    firstStop: first.promise,
    stopping: stopping.signal,
    secondStop: second.signal,
    onReload: (callback) => {
      reload = callback
    },
    onRestart: (callback) => {
      restart = callback
      if (isRestartWanted) restart()
    },
    passOn: (callback) => {
      passOn = callback
    },
    endOfHangUp: () => {
      if (!hungUp) return
      process.removeAllListeners('SIGHUP')
      process.kill(process.pid, 'SIGHUP')
    },
  }
}

interface Controlled {
  readonly gateway: Gateway
  readonly reload: Reloader['reload']
  readonly handOver: HandOver
  readonly start: StartedWith
}

/** Without the socket nobody can list or kill sessions, but people can work: only a configured one must open. */
async function openControlSocket(
  config: Config,
  { gateway, reload, handOver, start: { version, inheritance } }: Controlled,
  log: Logger,
): Promise<Control | undefined> {
  const startedAt = Date.now()
  const hostKeys = gateway.hostKeys.map(publicLine)
  const handlers: ControlHandlers = {
    status: () => ({
      ...{ pid: process.pid, startedAt, hostKeys, version },
      ...(handOver.isDraining ? { endpoints: [], isDraining: true } : { endpoints: gateway.endpoints }),
    }),
    sessions: (options) => gateway.registry.list(options),
    connections: () => gateway.connections.list(),
    kill: (id) => gateway.kill('session', id),
    killConnection: (id) => gateway.kill('connection', id),
    reload,
    restart: () => handOver.restart(),
    drain: () => handOver.drain(),
    adminToken: (name) => gateway.adminToken(name),
  }
  try {
    const control = await openControl(config.controlSocket, handlers, inheritance.isSuccessor)
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

async function announce(
  gateway: Gateway,
  config: Config,
  knownHosts: string | undefined,
  { sockets }: Inheritance,
  log: Logger,
): Promise<void> {
  for (const { type, fingerprint, file } of gateway.hostKeys) log.info({ type, fingerprint, file }, 'host key')
  for (const [index, { address, port }] of gateway.endpoints.entries()) {
    log.info({ host: address, port }, 'listening')
    const wanted = config.listen[index]?.port
    if (sockets.length === 0 && wanted !== undefined && wanted !== 0 && wanted !== port) {
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
