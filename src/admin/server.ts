/**
 * The HTTP server of the page. What a hostile page in a browser of this machine may try ends here: a name of its own for
 * 127.0.0.1 (Host), a request from elsewhere (Origin, and a key that no browser sends by itself), a frame, a script.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { printable } from '../base/printable.ts'
import { closingOnce, type LocalPlace, listenLocally } from '../net/local-place.ts'
import { isOwnHost } from '../net/own-host.ts'

export interface AdminAsset {
  readonly type: string
  readonly body: Buffer
}

export interface AdminAnswer {
  readonly status: number
  readonly body: object
}

/** @param key of the header Authorization; "": there is none */
export type AdminCall = (key: string, body: Readonly<Record<string, unknown>>) => AdminAnswer

export interface AdminServer {
  /** "127.0.0.1:9465", "unix:/run/hatchway/admin.sock" */
  readonly place: string
  close(): Promise<void>
}

const REQUEST_MS = 5_000
const IDLE_MS = 30_000
const CONNECTIONS = 32
const MAX_HEADER_BYTES = 8 * 1024
const MAX_BODY_BYTES = 4 * 1024
/** The socket is its user's alone. */
const OWN_UMASK = 0o177

const HEADERS = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'cache-control': 'no-store',
}

/**
 * @param assets by path, for GET; `calls` by path, for POST
 * @param failed is told what a call threw; its client reads nothing of it
 * @throws HatchwayError CONFIG_INVALID
 */
export async function openAdminServer(
  listen: LocalPlace,
  assets: ReadonlyMap<string, AdminAsset>,
  calls: ReadonlyMap<string, AdminCall>,
  failed: (error: unknown) => void,
): Promise<AdminServer> {
  const limits = { headersTimeout: REQUEST_MS, requestTimeout: REQUEST_MS, connectionsCheckingInterval: 1_000 }
  const server = createServer({ maxHeaderSize: MAX_HEADER_BYTES, ...limits }, (request, response) => {
    answer(request, response).catch((error: unknown) => {
      failed(error)
      if (response.headersSent) response.destroy()
      else send(response, refused(500, 'internal error; the gateway log has the cause'))
    })
  })
  server.maxConnections = CONNECTIONS
  server.timeout = IDLE_MS

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method, headers, url = '' } = request
    // Also on a socket: a browser comes there by a tunnel, under the name localhost.
    if (headers.host === undefined || !isOwnHost(headers.host))
      return send(response, refused(421, 'ask for localhost, 127.0.0.1 or [::1]: other names are not served'))
    const asset = assets.get(url)
    if (asset && (method === 'GET' || method === 'HEAD')) {
      response.writeHead(200, { ...HEADERS, 'content-type': asset.type, 'content-length': asset.body.length })
      return void response.end(asset.body)
    }
    const call = calls.get(url)
    if (!call) return send(response, refused(asset ? 405 : 404, 'there is no such page'))
    if (method !== 'POST') return send(response, refused(405, 'POST'))
    if (headers.origin?.toLowerCase() !== `http://${headers.host.toLowerCase()}`)
      return send(response, refused(403, 'only the page itself may ask'))
    const body = await bodyOf(request)
    if (!body) return send(response, refused(400, 'expected JSON, of 4 KiB at most'))
    send(response, call(/^Bearer ([\w-]{1,128})$/.exec(headers.authorization ?? '')?.[1] ?? '', body))
  }

  const place = await listenLocally(server, listen, 'admin.listen', OWN_UMASK)
  server.on('error', failed)
  server.unref()

  return { place, close: closingOnce(server) }
}

export function refused(status: number, error: string): AdminAnswer {
  return { status, body: { error } }
}

/** Undefined: it is none, or too long. */
async function bodyOf(request: IncomingMessage): Promise<Readonly<Record<string, unknown>> | undefined> {
  if (request.headers['content-type'] !== 'application/json') return undefined
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length
    if (size > MAX_BODY_BYTES) return undefined
    chunks.push(chunk)
  }
  try {
    const value: unknown = JSON.parse(Buffer.concat(chunks).toString())
    return value instanceof Object && !Array.isArray(value) ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}

/** Names of containers and clients are in it: nothing there turns a line around. */
function send(response: ServerResponse, { status, body }: AdminAnswer): void {
  const text = JSON.stringify(body, (_, value: unknown) => (typeof value === 'string' ? printable(value) : value))
  response.writeHead(status, {
    ...HEADERS,
    ...{ 'content-type': 'application/json', 'content-length': Buffer.byteLength(text), connection: 'close' },
  })
  response.end(text)
}
