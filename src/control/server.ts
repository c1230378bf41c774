/**
 * The control socket: HTTP on a unix socket that only its owner can reach, for `hatchway sessions`, `connections`, `kill`
 * and `reload`.
 * One socket for each gateway, named by its pid, so that two gateways of one person never fight for a name.
 */
import { chmodSync, lstatSync, mkdirSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { dirname, join } from 'node:path'
import { HatchwayError, messageOf } from '../base/errors.ts'
import { listenOnSocket } from '../base/own-socket.ts'
import type { ConnectionSnapshot } from '../session/connection-registry.ts'
import type { SessionSnapshot } from '../session/registry.ts'
import type {
  ControlConnections,
  ControlKill,
  ControlReload,
  ControlSessions,
  ControlStatus,
  ReloadOutcome,
} from './protocol.ts'
import { controlDirectories } from './sockets.ts'

const PRIVATE_UMASK = 0o177

export interface ControlHandlers {
  status(): ControlStatus
  sessions(options: { readonly stopped: boolean }): readonly SessionSnapshot[]
  connections(): readonly ConnectionSnapshot[]
  kill(id: string): boolean
  killConnection(id: string): boolean
  reload(): Promise<ReloadOutcome>
}

export interface Control {
  readonly path: string
  close(): Promise<void>
}

/** @throws HatchwayError CONFIG_INVALID */
export async function openControl(configured: string | undefined, handlers: ControlHandlers): Promise<Control> {
  const path = configured ?? join(controlDirectories()[0] ?? '.', `${process.pid}.sock`)
  if (configured === undefined) makePrivate(dirname(path))

  const server = createServer((request, response) => {
    answer(request, response, handlers).catch(() => {
      if (!response.headersSent) send(response, 500, { error: 'internal error' })
      else response.destroy()
    })
  })
  server.requestTimeout = 10_000
  server.maxConnections = 64
  await listenOnSocket(server, path, PRIVATE_UMASK).catch((error: unknown) => {
    throw unusable(path, messageOf(error))
  })
  server.on('error', () => undefined)
  server.unref()

  let closed: Promise<void> | undefined
  return {
    path,
    close() {
      closed ??= new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      })
      return closed
    },
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
