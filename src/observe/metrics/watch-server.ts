/**
 * A small HTTP server for what watches the gateway. It reads, it changes nothing, and whoever may connect is a program or a
 * person of this machine: what they can cost is bounded, and a page in their browser cannot read it.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { closingOnce, type LocalPlace, listenLocally } from '../../net/local-place.ts'
import { isOwnHost } from '../../net/own-host.ts'

export interface WatchAnswer {
  readonly status: number
  /** Default: text. */
  readonly type?: string
  readonly body: string
}

/** @param accept the header of that name */
export type WatchRoute = (accept: string) => WatchAnswer | Promise<WatchAnswer>

export interface WatchServer {
  /** "127.0.0.1:9464", "unix:/run/hatchway/metrics.sock" */
  readonly place: string
  close(): Promise<void>
}

export interface WatchLimits {
  /** A request must be there by then. */
  readonly requestMs: number
  /** A connection is over by then, whatever its client does. */
  readonly connectionMs: number
  readonly connections: number
}

const LIMITS: WatchLimits = { requestMs: 5_000, connectionMs: 15_000, connections: 32 }
const CHECK_EVERY_MS = 1_000
const MAX_HEADER_BYTES = 8 * 1024
/** A group may be given the socket: 0660. */
const GROUP_UMASK = 0o117
const TEXT = 'text/plain; charset=utf-8'

/**
 * @param routes by path
 * @param failed is told what a route threw; its client reads nothing of it
 * @throws HatchwayError CONFIG_INVALID
 */
export async function openWatchServer(
  listen: LocalPlace,
  routes: Readonly<Record<string, WatchRoute>>,
  failed: (error: unknown) => void,
  limits = LIMITS,
): Promise<WatchServer> {
  const server = createServer(
    {
      maxHeaderSize: MAX_HEADER_BYTES,
      headersTimeout: limits.requestMs,
      requestTimeout: limits.requestMs,
      connectionsCheckingInterval: Math.min(CHECK_EVERY_MS, limits.requestMs),
    },
    (request, response) => {
      answer(request, response).catch((error: unknown) => {
        failed(error)
        if (response.headersSent) response.destroy()
        else send(response, { status: 500, body: 'internal error; the gateway log has the cause\n' })
      })
    },
  )
  server.maxConnections = limits.connections
  server.maxRequestsPerSocket = 1
  server.on('connection', (socket: Socket) => {
    const timer = setTimeout(() => socket.destroy(), limits.connectionMs).unref()
    socket.once('close', () => clearTimeout(timer))
  })

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    // A body is not read: the connection ends with the answer.
    const { method, headers } = request
    if (listen.kind === 'tcp' && !isOwnHost(headers.host))
      return send(response, {
        status: 421,
        body: 'ask for localhost, 127.0.0.1 or [::1]: other names are not served\n',
      })
    const path = (request.url ?? '').split('?', 1)[0] ?? ''
    const route = Object.hasOwn(routes, path) ? routes[path] : undefined
    if (!route) return send(response, { status: 404, body: `${Object.keys(routes).join('\n')}\n` })
    if (method !== 'GET' && method !== 'HEAD')
      return send(response, { status: 405, body: 'GET or HEAD\n' }, { allow: 'GET, HEAD' })
    send(response, await route(headers.accept ?? ''))
  }

  const place = await listenLocally(server, listen, 'metrics.listen', GROUP_UMASK)
  server.on('error', failed)
  server.unref()

  return { place, close: closingOnce(server) }
}

function send(response: ServerResponse, { status, type = TEXT, body }: WatchAnswer, more: object = {}): void {
  response.sendDate = false
  response.writeHead(status, {
    ...{ 'content-type': type, 'content-length': Buffer.byteLength(body), connection: 'close' },
    ...{ 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' },
    'cross-origin-resource-policy': 'same-origin',
    ...more,
  })
  response.end(body)
}
