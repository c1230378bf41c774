/**
 * The control socket: HTTP on a unix socket that only its owner can reach, for `hatchway sessions`, `connections`, `kill`,
 * `reload`, `restart` and `drain`.
 * One socket for each gateway, named by its pid, so that two gateways of one person never fight for a name.
 */
import { chmodSync, linkSync, lstatSync, mkdirSync, renameSync, unlinkSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { dirname, join } from 'node:path'
import { HatchwayError, isErrno, messageOf } from '../base/errors.ts'
import { listenOnSocket, MAX_SOCKET_PATH_BYTES, removeStaleSocket } from '../base/own-socket.ts'
import type { ConnectionSnapshot } from '../session/connection-registry.ts'
import type { SessionSnapshot } from '../session/registry.ts'
import type {
  ControlAdminToken,
  ControlConnections,
  ControlDrain,
  ControlKill,
  ControlReload,
  ControlRestart,
  ControlSessions,
  ControlStatus,
  DrainOutcome,
  ReloadOutcome,
  RestartOutcome,
} from './protocol.ts'
import { asideName, controlDirectories } from './sockets.ts'

const PRIVATE_UMASK = 0o177
/** For an answer under way at the end. */
const LAST_ANSWER_MS = 1_000

export interface ControlHandlers {
  status(): ControlStatus
  sessions(options: { readonly stopped: boolean }): readonly SessionSnapshot[]
  connections(): readonly ConnectionSnapshot[]
  kill(id: string): boolean
  killConnection(id: string): boolean
  reload(): Promise<ReloadOutcome>
  restart(): Promise<RestartOutcome>
  drain(): Promise<DrainOutcome>
  /** @param name whose it is to be */
  adminToken(name: string): ControlAdminToken['token']
}

export interface Control {
  readonly path: string
  /**
   * Has a second name from now on, so that a successor can take over a configured one. Returns how to have that again.
   * @throws Error
   */
  stepAside(): () => void
  /** Has only the second name from now on: whoever starts next finds a configured one free. */
  giveUpName(): void
  close(): Promise<void>
}

/**
 * @param takesOver the gateway that has this socket hands over to this one
 * @throws HatchwayError CONFIG_INVALID
 */
export async function openControl(
  configured: string | undefined,
  handlers: ControlHandlers,
  takesOver = false,
): Promise<Control> {
  const path = configured ?? join(controlDirectories()[0] ?? '.', `${process.pid}.sock`)
  if (configured === undefined) makePrivate(dirname(path))

  const answering = new Set<ServerResponse>()
  const server = createServer((request, response) => {
    answering.add(response)
    response.once('close', () => answering.delete(response))
    answer(request, response, handlers).catch(() => {
      if (!response.headersSent) send(response, 500, { error: 'internal error' })
      else response.destroy()
    })
  })
  server.requestTimeout = 10_000
  server.maxConnections = 64
  // Bound under the name that it may have to step aside to: at its close node removes the name that was bound.
  const aside = asideName(path, process.pid)
  const bound = configured === undefined || Buffer.byteLength(aside) > MAX_SOCKET_PATH_BYTES ? path : aside
  const listen = async () => {
    if (bound !== path && !takesOver) await removeStaleSocket(path)
    await listenOnSocket(server, bound, PRIVATE_UMASK)
  }
  await listen().catch((error: unknown) => {
    throw unusable(path, messageOf(error))
  })
  server.on('error', () => undefined)
  server.unref()
  const { ino } = lstatSync(bound)
  const isOurs = () => lstatSync(path, { throwIfNoEntry: false })?.ino === ino
  try {
    if (bound !== path) giveName(bound, path, takesOver)
  } catch (error) {
    server.close()
    throw unusable(path, `cannot be made (${messageOf(error)})`)
  }

  let closed: Promise<void> | undefined
  return {
    path,
    stepAside() {
      if (configured === undefined) return () => {}
      if (bound === path) throw new Error(`the control socket's path ${path} is too long for two gateways`)
      linkSync(path, bound)
      return () => {
        if (isOurs()) unlinkSync(bound)
        else renameSync(bound, path)
      }
    },
    giveUpName() {
      if (bound !== path && isOurs()) renameSync(path, bound)
    },
    close() {
      closed ??= new Promise((resolve) => {
        if (bound !== path && isOurs()) unlinkSync(path)
        server.close(() => resolve())
        if (answering.size === 0) return server.closeAllConnections()
        // Who asked for what ends this gateway has an answer.
        const timer = setTimeout(() => server.closeAllConnections(), LAST_ANSWER_MS)
        const done = () => {
          if (answering.size > 0) return
          clearTimeout(timer)
          server.closeAllConnections()
        }
        for (const response of answering) response.once('close', done)
      })
      return closed
    },
  }
}

/** A name that somebody else has got meanwhile stays theirs, where the file system has links at all. */
function giveName(bound: string, path: string, takesOver: boolean): void {
  if (!takesOver && hasLinked(bound, path)) unlinkSync(bound)
  else renameSync(bound, path)
}

function hasLinked(bound: string, path: string): boolean {
  try {
    linkSync(bound, path)
    return true
  } catch (error) {
    if (isErrno(error, 'EEXIST')) throw error
    return false
  }
}

function makePrivate(directory: string): void {
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 })
    const stats = lstatSync(directory)
    if (!stats.isDirectory() || stats.uid !== process.getuid?.())
      throw unusable(directory, 'is not a directory of yours')
    if ((stats.mode & 0o077) !== 0) chmodSync(directory, 0o700)
  } catch (error) {
    if (error instanceof HatchwayError) throw error
    throw unusable(directory, `cannot be made (${messageOf(error)})`)
  }
}

async function answer(request: IncomingMessage, response: ServerResponse, handlers: ControlHandlers): Promise<void> {
  request.resume()
  const [path = '/', query] = (request.url ?? '/').split('?')
  const [, what, id = ''] = /^\/(sessions|connections)\/([0-9a-f]{1,32})\/kill$/.exec(path) ?? []
  switch (`${request.method} ${what ? `/${what}/ID/kill` : path}`) {
    case 'GET /status':
      return send<ControlStatus>(response, 200, handlers.status())
    case 'GET /sessions': {
      const sessions = handlers.sessions({ stopped: query === 'stopped' })
      return send<ControlSessions>(response, 200, { ...handlers.status(), sessions })
    }
    case 'GET /connections':
      return send<ControlConnections>(response, 200, { ...handlers.status(), connections: handlers.connections() })
    case 'POST /sessions/ID/kill':
      return send<ControlKill>(response, 200, { killed: handlers.kill(id) })
    case 'POST /connections/ID/kill':
      return send<ControlKill>(response, 200, { killed: handlers.killConnection(id) })
    case 'POST /reload':
      return send<ControlReload>(response, 200, { ...handlers.status(), ...(await handlers.reload()) })
    case 'POST /restart': {
      const outcome = await handlers.restart()
      return send<ControlRestart>(response, 200, { ...handlers.status(), ...outcome })
    }
    case 'POST /drain': {
      const outcome = await handlers.drain()
      return send<ControlDrain>(response, 200, { ...handlers.status(), ...outcome })
    }
    case 'POST /admin-token': {
      const [name] = /^[\w.@-]{1,64}$/.exec(query ?? '') ?? []
      if (name === undefined) return send(response, 400, { error: 'no such name' })
      const token = handlers.adminToken(name)
      return send<ControlAdminToken>(response, 200, { ...handlers.status(), ...(token && { token }) })
    }
    default:
      return send(response, 404, { error: 'no such call' })
  }
}

function send<Body>(response: ServerResponse, status: number, body: Body): void {
  response.writeHead(status, { 'content-type': 'application/json', connection: 'close' })
  response.end(JSON.stringify(body))
}

function unusable(path: string, what: string): HatchwayError {
  return new HatchwayError('CONFIG_INVALID', `control socket ${path} ${what}`)
}
