/** SOCKS 5 (RFC 1928), without authentication, and SOCKS 4a: what a client sends to have a host connected, and no more. */
import type { Duplex } from 'node:stream'
import { ArrivalError } from '../arrival.ts'
import { farewell } from './graceful-close.ts'
import { parseHost } from './host-name.ts'
import { take } from './take-bytes.ts'

const CONNECT = 1
const NO_AUTHENTICATION = 0
const REPLY5 = { granted: 0, notAllowed: 2, noCommand: 7, noAddressType: 8 } as const
const REPLY4 = { granted: 90, refused: 91 } as const
const ADDRESS_LENGTH: Readonly<Record<number, number>> = { 1: 4, 4: 16 }
const DOMAIN_NAME = 3
/** A user name or host of SOCKS 4a ends with a NUL, or we do not wait for it. */
const MAX_FIELD_BYTES = 256

export async function socks5(stream: Duplex, signal: AbortSignal): Promise<string> {
  const hello = await take(stream, (bytes) => upTo(bytes, bytes.length < 2 ? 2 : 2 + bytes.readUInt8(1)), signal)
  if (!hello.subarray(2).includes(NO_AUTHENTICATION)) {
    await farewell(stream, Buffer.of(5, 0xff))
    throw refused('no method in common: none is needed')
  }
  stream.write(Buffer.of(5, NO_AUTHENTICATION))
  const request = await take(stream, (bytes) => upTo(bytes, lengthOfRequest(bytes)), signal)
  const [version, command, , type] = request
  const refuse = async (reply: number, reason: string) => {
    await farewell(stream, Buffer.of(5, reply, 0, 1, 0, 0, 0, 0, 0, 0))
    return refused(reason)
  }
  if (version !== 5 || command !== CONNECT) throw await refuse(REPLY5.noCommand, 'another command than CONNECT')
  // An address names no container: a client that resolves the name itself must be told, or will look for it in the wrong place.
  if (type !== DOMAIN_NAME) throw await refuse(REPLY5.noAddressType, 'an address instead of a name')
  const named = parseHost(request.toString('latin1', 5, request.length - 2), request.readUInt16BE(request.length - 2))
  if (!('host' in named)) throw await refuse(REPLY5.notAllowed, named.reason)
  stream.write(Buffer.of(5, REPLY5.granted, 0, 1, 0, 0, 0, 0, 0, 0))
  return named.host
}

/** VER CMD RSV ATYP, then an address by its type, then a port. */
function lengthOfRequest(bytes: Buffer): number {
  if (bytes.length < 5) return 5
  const type = bytes.readUInt8(3)
  // A type we do not know has no length; nothing more is waited for.
  return type === DOMAIN_NAME ? 5 + bytes.readUInt8(4) + 2 : 4 + (ADDRESS_LENGTH[type] ?? 0) + 2
}

export async function socks4(stream: Duplex, signal: AbortSignal): Promise<string> {
  const refuse = async (reason: string) => {
    await farewell(stream, Buffer.of(0, REPLY4.refused, 0, 0, 0, 0, 0, 0))
    return refused(reason)
  }
  const fixed = await take(stream, (bytes) => upTo(bytes, 8), signal)
  await takeField(stream, signal)
  // 4a: an address 0.0.0.x, and the name behind the user's.
  const named4a = fixed.readUInt32BE(4) > 0 && fixed.readUInt32BE(4) < 256
  if (fixed[1] !== CONNECT || !named4a) throw await refuse('no name: SOCKS 4 knows addresses only, use 4a or 5')
  const named = parseHost((await takeField(stream, signal)).toString('latin1'), fixed.readUInt16BE(2))
  if (!('host' in named)) throw await refuse(named.reason)
  stream.write(Buffer.of(0, REPLY4.granted, 0, 0, 0, 0, 0, 0))
  return named.host
}

/** Without its NUL. */
async function takeField(stream: Duplex, signal: AbortSignal): Promise<Buffer> {
  const field = await take(
    stream,
    (bytes) => {
      const end = bytes.indexOf(0)
      if (end < 0 && bytes.length >= MAX_FIELD_BYTES) return { taken: bytes.length }
      return end < 0 ? { need: bytes.length + 1 } : { taken: end + 1 }
    },
    signal,
  )
  if (field.at(-1) !== 0) throw refused(`a field without an end within ${MAX_FIELD_BYTES} bytes`)
  return field.subarray(0, -1)
}

function upTo(bytes: Buffer, length: number): { readonly taken: number } | { readonly need: number } {
  return bytes.length < length ? { need: length } : { taken: length }
}

function refused(reason: string): ArrivalError {
  return new ArrivalError('proxy-request', `socks: ${reason}`)
}
