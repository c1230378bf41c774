/** An ssh2 Protocol for one connection, with what is added to each: our output, our packets, host certificates. */

import type { SlabOutput } from '../bytes/batched-writer.ts'
import { isLent } from '../bytes/shared-read-buffer.ts'
import type { HostKeys } from './hostkeys.ts'
import { Message } from './packets.ts'
import { pad } from './padding.ts'
import { certifiedType } from './public-key.ts'
import { type ParsedKey, type StockCipher, type StockKeyExchange, type StockProtocol, ssh2 } from './ssh2.ts'

export interface ProtocolOptions {
  readonly ident: string
  /** Somebody else has sent `ident`. */
  readonly greeted: boolean
  readonly hostKeys: HostKeys
  readonly offer: object
  readonly output: SlabOutput
  /** The client's version, without "SSH-2.0-". */
  readonly identified: (version: string) => void
  /** Every packet but those of a key exchange; what it returns goes to ssh2's decipher. */
  readonly payload: (payload: Buffer) => number | false | undefined
  /** The first key exchange is to be computed: now, or when it may. */
  readonly takeTurn: (kex: string, compute: () => void) => void
  /** After NEWKEYS both ways, before anything else is sent. */
  readonly exchanged: () => void
  /** What waited for the key exchange has been sent. */
  readonly resumed: () => void
  /** DISCONNECT during a key exchange. */
  readonly disconnected: (reason: number, text: string) => void
  readonly failed: (error: Error) => void
}

export function createProtocol(options: ProtocolOptions): StockProtocol {
  const { hostKeys, output } = options
  // ssh2's first write is the line with its identification.
  let silent = options.greeted
  const protocol = new ssh2.Protocol({
    server: true,
    ident: Buffer.from(options.ident),
    hostKeys: hostKeys.byAlgorithm,
    offer: options.offer,
    onWrite: (data) => {
      if (!silent) output.write(data)
      silent = false
    },
    onError: options.failed,
    onHeader: ({ identRaw }) => options.identified(identRaw.replace(/^SSH-[\d.]+-/, '')),
    messageHandlers: { DISCONNECT: (_, reason, text) => options.disconnected(reason, text) },
  })
  let cipher = protocol._cipher
  useSlabs(cipher, output)
  Object.defineProperty(protocol, '_cipher', {
    get: () => cipher,
    set: (next: StockCipher) => {
      cipher = next
      useSlabs(next, output)
    },
  })
  let exchange = protocol._kex
  Object.defineProperty(protocol, '_kex', {
    get: () => exchange,
    set: (next: StockKeyExchange) => {
      exchange = next
      protocol._hostKeys = hostKeysFor(next, hostKeys.byAlgorithm)
    },
  })
  protocol._onPayload = options.payload
  protocol.takeTurn = options.takeTurn
  const complete = protocol._onHandshakeComplete
  protocol._onHandshakeComplete = (negotiated) => {
    options.exchanged()
    complete(negotiated)
    options.resumed()
  }
  return protocol
}

/** Lent bytes. A packet whose authentication tag has not come yet is kept: ssh2 looks at it again with the next ones. */
export function feed(protocol: StockProtocol, bytes: Buffer): void {
  protocol.parse(bytes, 0, bytes.length)
  const decipher = protocol._decipher
  if (decipher?._packet && isLent(decipher._packet)) decipher._packet = Buffer.from(decipher._packet)
}

/** A packet that stays small. During a key exchange it waits, in order; `atOnce`: also then it leaves. */
export function sendPayload(protocol: StockProtocol, payload: Buffer, atOnce = false): void {
  const writer = protocol._packetRW.write
  const at = atOnce ? writer.allocStartKEX : writer.allocStart
  const bytes = writer.alloc(payload.length, atOnce)
  bytes.set(payload, at)
  ssh2.sendPacket(protocol, writer.finalize(bytes, atOnce), atOnce)
}

/**
 * CHANNEL_DATA, or CHANNEL_EXTENDED_DATA for `fd` 2 (RFC 4254 §5.2), of `length` bytes that `fill` puts straight into the
 * packet. Not during a key exchange.
 */
export function sendChannelData(
  protocol: StockProtocol,
  recipient: number,
  fd: 1 | 2,
  length: number,
  fill: (target: Buffer, at: number) => void,
): void {
  const header = fd === 1 ? 9 : 13
  const writer = protocol._packetRW.write
  let at = writer.allocStart
  const bytes = writer.alloc(header + length)
  bytes[at] = fd === 1 ? Message.CHANNEL_DATA : Message.CHANNEL_EXTENDED_DATA
  at = bytes.writeUInt32BE(recipient, at + 1)
  if (fd === 2) at = bytes.writeUInt32BE(1, at)
  at = bytes.writeUInt32BE(length, at)
  fill(bytes, at)
  protocol._cipher.encrypt(writer.finalize(bytes))
}

/** What ssh2 parses from now on, also of the bytes it is at, is kept until it is asked back. */
export function holdBack(protocol: StockProtocol): () => readonly Buffer[] {
  const { _parse: parse } = protocol
  const held: Buffer[] = []
  protocol._parse = (chunk, from, to) => {
    const bytes = chunk.subarray(from, to)
    held.push(isLent(bytes) ? Buffer.from(bytes) : bytes)
    return to
  }
  return () => {
    protocol._parse = parse
    return held
  }
}

/** ssh2 knows no certificates: it negotiates their names, and then is given the plain name and the certificate's key. */
function hostKeysFor(
  { negotiated }: StockKeyExchange,
  byAlgorithm: Readonly<Record<string, ParsedKey>>,
): Readonly<Record<string, ParsedKey>> {
  const plain = certifiedType(negotiated.serverHostKey)
  const key = byAlgorithm[negotiated.serverHostKey]
  if (!plain || !key) return byAlgorithm
  negotiated.serverHostKey = plain
  return { [plain]: key }
}

/** Packets are built in our output's slabs; ciphers without the native binding make their own buffers. */
function useSlabs(cipher: StockCipher, output: SlabOutput): void {
  const kind = cipher.constructor.name
  const isNull = kind === 'NullCipher'
  if (!isNull && !kind.endsWith('Binding')) return
  const block = cipher._encBlockLen ?? (kind.startsWith('AESGCM') ? 16 : 8)
  const clear = cipher._aadLen ?? (isNull ? 0 : 4)
  const mac = cipher._macLen ?? (isNull ? 0 : 16)
  cipher.allocPacket = (payloadLength) => {
    const unpadded = 5 + payloadLength
    let padding = block - ((unpadded - clear) & (block - 1))
    if (padding < 4) padding += block
    const bytes = output.alloc(unpadded + padding + mac)
    bytes.writeUInt32BE(unpadded + padding - 4)
    bytes[4] = padding
    pad(bytes, unpadded, padding)
    return bytes
  }
}
