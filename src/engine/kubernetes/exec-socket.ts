/**
 * The WebSocket of an exec. Both protocols are offered at once, the newer one first; a server that refuses the offer as a whole
 * instead of choosing is asked again for the older one alone.
 */
import type http from 'node:http'
import WebSocket from 'ws'
import { openDeadline } from '../../lifetime/deadline.ts'
import { onAbort } from '../../lifetime/on-abort.ts'
import { engineTimeout } from '../messages.ts'
import { V4, V5 } from './channels.ts'
import { ApiRefusal, describeFailure, type KubeRest } from './rest.ts'
import { isStatus, parseStatus } from './status.ts'

export interface ExecSocketRequest {
  /** With its query. */
  readonly path: string
  readonly signal: AbortSignal
  readonly deadlineMs: number
  readonly pingMs: number
  /** A whole message; the bytes are the callee's. */
  message(data: Buffer): void
  /** Once, after an open: the stream is over, and no message comes any more. */
  closed(code: number): void
}

/** Of silence. A proxy between here and there ends a stream on which nothing moves: a minute is usual. */
export const PING_MS = 20_000
/** Of one message; servers send what one read(2) gave them. */
const MAX_MESSAGE_BYTES = 16 * 1024 * 1024
const MAX_REFUSAL_BYTES = 16 * 1024

/** @throws ApiRefusal, HatchwayError ENGINE_* */
export async function openExecSocket(rest: KubeRest, request: ExecSocketRequest): Promise<WebSocket> {
  let offer = [V5, V4]
  let renewed = false
  for (;;) {
    const proof = await rest.credentials.now(request.signal)
    const opened = await attempt(rest, request, offer, proof)
    if (opened instanceof WebSocket) return opened
    const { code, body } = opened
    if (code === 401 && !renewed && rest.credentials.refused(proof)) renewed = true
    // A refusal by the API server itself is a Status; that of an upgrade is not.
    else if ((code === 403 || code === 400) && !isStatus(body) && offer.length > 1) offer = [V4]
    else throw new ApiRefusal(parseStatus(body, code))
  }
}

function attempt(
  { access, tlsOptions }: KubeRest,
  request: ExecSocketRequest,
  offer: string[],
  { authorization, ...proof }: Awaited<ReturnType<KubeRest['credentials']['now']>>,
): Promise<WebSocket | { readonly code: number; readonly body: string }> {
  return new Promise((resolve, reject) => {
    request.signal.throwIfAborted()
    const { server } = access
    const base = `${server.protocol === 'https:' ? 'wss' : 'ws'}://${server.host}${server.pathname.replace(/\/+$/, '')}`
    const socket = new WebSocket(base + request.path, offer, {
      ...tlsOptions(proof),
      headers: authorization ? { Authorization: authorization } : {},
      perMessageDeflate: false,
      followRedirects: false,
      skipUTF8Validation: true,
      maxPayload: MAX_MESSAGE_BYTES,
    })
    socket.binaryType = 'nodebuffer'
    const limit = openDeadline(
      { ms: request.deadlineMs, reason: () => engineTimeout('exec start', request.deadlineMs) },
      request.signal,
    )
    const remove = onAbort(limit.signal, (reason) => {
      settle(() => reject(reason))
      socket.terminate()
    })
    const settle = (act: () => void) => {
      limit.release()
      remove()
      act()
    }
    let open = false
    let pings: NodeJS.Timeout | undefined
    socket.on('open', () => {
      open = true
      pings = setTimeout(ping, request.pingMs).unref()
      settle(() => resolve(socket))
    })
    const ping = () => {
      // Not while its output waits: where the program has ended meanwhile, a byte from here makes the servers in between
      // close at once, over what they still hold of it.
      if (socket.readyState === WebSocket.OPEN && !socket.isPaused) socket.ping()
      pings?.refresh()
    }
    socket.on('message', (data: WebSocket.RawData) => {
      // What moves needs none.
      pings?.refresh()
      if (Buffer.isBuffer(data)) request.message(data)
    })
    // After an open its 'close' tells.
    socket.on('error', (error) => {
      if (!open) settle(() => reject(describeFailure(error, access)))
    })
    socket.on('unexpected-response', (_request: unknown, response: http.IncomingMessage) => {
      void readRefusal(response).then((body) => {
        settle(() => resolve({ code: response.statusCode ?? 0, body }))
        socket.terminate()
      })
    })
    socket.on('close', (code) => {
      clearTimeout(pings)
      if (open) request.closed(code)
    })
  })
}

/** As far as it comes; the request's limit ends it with the connection. */
function readRefusal(response: http.IncomingMessage): Promise<string> {
  return new Promise((resolve) => {
    let text = ''
    const done = () => resolve(text)
    response.setEncoding('utf8')
    response.on('data', (chunk: string) => {
      text += chunk
      if (text.length > MAX_REFUSAL_BYTES) response.destroy()
    })
    response.on('end', done)
    response.on('close', done)
    response.on('error', done)
  })
}
