/**
 * POST that turns into a raw stream both ways ("hijack"), read by one static buffer: chunks are lent, never allocated.
 * node:http is not used here: its parser would allocate every chunk anew (a third of the gateway's CPU on bulk output).
 */
import type { Duplex } from 'node:stream'
import type { HatchwayError } from '../../base/errors.ts'
import { onAbort } from '../../lifetime/on-abort.ts'
import { engineLost, engineTimeout } from '../messages.ts'
import { connectSocket, connectTo, type DockerAddress } from './address.ts'
import { describe } from './http.ts'

export interface HijackRequest {
  readonly path: string
  readonly json: object
  readonly signal: AbortSignal
  readonly deadline: number
  /** The engine's error text for a refused start, as a failure. */
  refused(text: string): HatchwayError
  /** A lent chunk; false stops reading until `socket.resume()`. */
  data(chunk: Buffer): boolean
  /** Once: the stream ended, cleanly without an error. */
  end(error?: Error): void
}

/**
 * One buffer for all plain sockets: libuv reads and calls back in one go. A TLS socket gets its own, since OpenSSL may
 * hand out plaintext while some other socket's chunk is still lent.
 */
const SHARED = Buffer.allocUnsafeSlow(256 * 1024)
const TLS_BUFFER_BYTES = 32 * 1024
const MAX_HEAD_BYTES = 16 * 1024

export function hijack(address: DockerAddress, request: HijackRequest): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    request.signal.throwIfAborted()
    const buffer = address.kind === 'tcp' && address.tls ? Buffer.allocUnsafeSlow(TLS_BUFFER_BYTES) : SHARED
    let early = Buffer.alloc(0)
    let streaming = false
    let over = false

    const take = (chunk: Buffer) => {
      if (streaming) return request.data(chunk)
      early = Buffer.concat([early, chunk])
      const answer = readHead(early)
      if (answer === undefined) {
        if (early.length > MAX_HEAD_BYTES) fail(describe(notHttp(), address))
        return true
      }
      if (answer.status === 101 || answer.status === 200) {
        streaming = true
        settle(() => resolve(socket))
        const rest = answer.rest
        early = Buffer.alloc(0)
        return rest.length === 0 || request.data(rest)
      }
      const message = errorMessage(answer.rest)
      if (message !== undefined || answer.rest.length > MAX_HEAD_BYTES) {
        fail(request.refused(message ?? `status ${answer.status}`))
      }
      return true
    }

    const socket =
      address.kind === 'ssh'
        ? connectTo(address).on('data', (chunk: Buffer) => {
            if (!take(chunk)) socket.pause()
          })
        : connectSocket(address, {
            onread: { buffer, callback: (length) => take(buffer.subarray(0, length)) },
          })
    const settle = (act: () => void) => {
      clearTimeout(timer)
      remove()
      act()
    }
    const fail = (error: unknown) => {
      over = true
      settle(() => reject(error))
      socket.destroy()
    }
    const ended = (error?: Error) => {
      if (over) return
      over = true
      if (streaming) return request.end(error)
      const answer = readHead(early)
      if (answer !== undefined) return fail(request.refused(`status ${answer.status}`))
      fail(error === undefined ? engineLost(new Error('closed before an answer')) : describe(error, address))
    }
    const timer = setTimeout(() => fail(engineTimeout('exec start', request.deadline)), request.deadline)
    const remove = onAbort(request.signal, fail)
    socket.on('error', ended)
    socket.on('end', () => ended())
    socket.on('close', () => ended(streaming ? new Error('the stream was closed') : undefined))

    const body = JSON.stringify(request.json)
    // Nothing of stdin may follow in this packet: dockerd drops what its HTTP reader already holds at the upgrade.
    socket.write(
      `POST ${request.path} HTTP/1.1\r\nHost: docker\r\nContent-Type: application/json\r\nConnection: Upgrade\r\n` +
        `Upgrade: tcp\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
    )
  })
}

function readHead(bytes: Buffer): { status: number; rest: Buffer } | undefined {
  const end = bytes.indexOf('\r\n\r\n')
  if (end < 0) return undefined
  const [, status] = /^HTTP\/1\.[01] (\d{3})/.exec(bytes.toString('latin1', 0, Math.min(end, 32))) ?? []
  // Not HTTP: a status that nothing accepts, so that the caller says what came.
  return { status: Number(status ?? 0), rest: bytes.subarray(end + 4) }
}

/** The `message` of an error body; undefined while the body is not whole. Chunked or not, it is one JSON object. */
function errorMessage(body: Buffer): string | undefined {
  const text = body.toString('utf8')
  const [from, to] = [text.indexOf('{'), text.lastIndexOf('}')]
  if (from < 0 || to < from) return undefined
  try {
    const parsed: unknown = JSON.parse(text.slice(from, to + 1))
    if (typeof parsed !== 'object' || parsed === null) return undefined
    if ('message' in parsed && typeof parsed.message === 'string') return parsed.message
    return 'cause' in parsed && typeof parsed.cause === 'string' ? parsed.cause : undefined
  } catch {
    return undefined
  }
}

function notHttp(): Error {
  return Object.assign(new Error('no HTTP head within 16 KiB'), { code: 'HPE_INVALID' })
}
