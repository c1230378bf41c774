/**
 * What a client says first: SSH, or the name of the host it wants, as to a proxy (HTTP CONNECT, SOCKS 5 and 4a). Nothing
 * is relayed: the host names the container, and SSH begins on the same stream.
 */
import type { Duplex } from 'node:stream'
import { messageOf } from '../../base/errors.ts'
import { deadline } from '../../lifetime/deadline.ts'
import { onAbort } from '../../lifetime/on-abort.ts'
import { ArrivalError } from '../arrival.ts'
import { httpConnect } from './http-connect.ts'
import { socks4, socks5 } from './socks.ts'
import { take } from './take-bytes.ts'

/**
 * Both sides may begin SSH (RFC 4253 §4.2). Nearly every client does, at once; to one that waits (ssh-keyscan) we say who
 * we are after this time. Long enough for a first packet that was lost and sent again.
 */
const SILENCE_MS = 400
/** For the whole request, however slowly it drips. */
const REQUEST_MS = 10_000

/** Of HTTP, CONNECT is served; the others are told so in their own language. */
const FIRST_WORDS: readonly (readonly [string, Protocol])[] = [
  ['\x05', 'socks5'],
  ['\x04', 'socks4'],
  ...['CONNECT ', 'GET ', 'HEAD ', 'POST ', 'PUT ', 'OPTIONS '].map((method) => [method, 'http'] as const),
]

type Protocol = 'ssh' | 'http' | 'socks5' | 'socks4'

/** The host the client named; undefined: SSH begins, and it named none. @throws ArrivalError when it was neither */
export async function knock(stream: Duplex, signal: AbortSignal): Promise<string | undefined> {
  const protocol = await firstWord(stream, signal)
  if (protocol === 'ssh') return undefined
  const limit = deadline(REQUEST_MS, signal)
  try {
    return await { http: httpConnect, socks5, socks4 }[protocol](stream, limit)
  } catch (error) {
    if (error instanceof ArrivalError) throw error
    throw new ArrivalError('proxy-request', `${protocol}: ${messageOf(error)}`)
  }
}

async function firstWord(stream: Duplex, signal: AbortSignal): Promise<Protocol> {
  // Only silence may be broken off: bytes once taken are told apart, or time out with the login.
  const silence = new AbortController()
  const timer = setTimeout(() => silence.abort(), SILENCE_MS)
  const remove = onAbort(signal, () => silence.abort())
  let protocol: Protocol | undefined
  try {
    await take(
      stream,
      (bytes) => {
        clearTimeout(timer)
        protocol = protocolOf(bytes)
        return protocol === undefined ? { need: bytes.length + 1 } : { taken: 0 }
      },
      silence.signal,
    )
  } catch (error) {
    signal.throwIfAborted()
    if (!silence.signal.aborted) throw error
  } finally {
    clearTimeout(timer)
    remove()
  }
  return protocol ?? 'ssh'
}

/** Undefined: not yet to be told. What is none of them is SSH's to refuse. */
export function protocolOf(bytes: Buffer): Protocol | undefined {
  const text = bytes.toString('latin1', 0, 8)
  const [, protocol] = FIRST_WORDS.find(([word]) => text.startsWith(word)) ?? []
  return protocol ?? (FIRST_WORDS.some(([word]) => word.startsWith(text)) ? undefined : 'ssh')
}
