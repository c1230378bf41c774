/** HTTP CONNECT (RFC 9110 §9.3.6), as `nc -X connect` and PuTTY send it: one request, and SSH after its answer. */
import type { Duplex } from 'node:stream'
import { ArrivalError } from '../arrival.ts'
import { farewell } from './graceful-close.ts'
import { type Named, parseAuthority } from './host-name.ts'
import { take } from './take-bytes.ts'

/** Request line and header fields together. */
const MAX_HEAD_BYTES = 8 * 1024
const ESTABLISHED = 'HTTP/1.1 200 Connection established\r\n\r\n'

export async function httpConnect(stream: Duplex, signal: AbortSignal): Promise<string> {
  let tooLong = false
  let head: Buffer
  try {
    head = await take(
      stream,
      (bytes) => {
        const end = endOfHead(bytes)
        tooLong = end === undefined ? bytes.length >= MAX_HEAD_BYTES : end > MAX_HEAD_BYTES
        if (tooLong) return { taken: bytes.length }
        return end === undefined ? { need: bytes.length + 1 } : { taken: end }
      },
      signal,
    )
  } catch (error) {
    if (!stream.destroyed && signal.aborted) await farewell(stream, answer('408 Request Timeout'))
    throw error
  }
  const result = tooLong
    ? { status: '431 Request Header Fields Too Large', reason: `no end within ${MAX_HEAD_BYTES} bytes` }
    : requestedHost(head.toString('latin1'))
  if ('host' in result) {
    stream.write(ESTABLISHED)
    return result.host
  }
  await farewell(stream, answer(result.status))
  throw new ArrivalError('proxy-request', `http: ${result.reason}`)
}

/** Past the empty line; bare line feeds are lines, too (RFC 9112 §2.2). */
function endOfHead(bytes: Buffer): number | undefined {
  const found = /\r?\n\r?\n/.exec(bytes.toString('latin1', 0, MAX_HEAD_BYTES + 4))
  return found ? found.index + found[0].length : undefined
}

function requestedHost(head: string): Named | { readonly status: string; readonly reason: string } {
  const [line = ''] = head.split(/\r?\n/, 1)
  const [, method, target = ''] = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+) ([!-~]+) HTTP\/1\.[01]$/.exec(line) ?? []
  if (method === undefined) return { status: '400 Bad Request', reason: 'no request line' }
  if (method !== 'CONNECT') return { status: '405 Method Not Allowed', reason: 'another method than CONNECT' }
  const named = parseAuthority(target)
  if ('host' in named) return named
  return { status: named.port ? '403 Forbidden' : '400 Bad Request', reason: named.reason }
}

function answer(status: string): string {
  const text = `${status}\nThis is an SSH gateway: ssh USER@CONTAINER@HOST, or CONNECT CONTAINER:22.\n`
  return [
    `HTTP/1.1 ${status}`,
    ...(status.startsWith('405') ? ['Allow: CONNECT'] : []),
    'Content-Type: text/plain',
    `Content-Length: ${Buffer.byteLength(text)}`,
    'Connection: close',
    '',
    text,
  ].join('\r\n')
}
