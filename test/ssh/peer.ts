/**
 * A client that does what no client does: ssh2's own, with every packet that arrives recorded and any packet sent.
 * Reaches into ssh2's private fields; nothing but tests may.
 */
import { once } from 'node:events'
import type { Client, ConnectConfig } from 'ssh2'
import { fields, Message, PacketReader, packet } from '../../src/ssh/packets.ts'
import type { StockCipher, StockProtocol } from '../../src/ssh/ssh2.ts'
import { ssh2, type TestServer } from './support.ts'

export interface Packet {
  readonly type: number
  /** Behind the type. */
  readonly reader: PacketReader
  readonly payload: Buffer
}

export interface Peer {
  readonly client: Client
  send(payload: Buffer): void
  /** As send, and not held back while keys are exchanged. */
  sendInExchange(payload: Buffer): void
  /** As send, with a length of the padding that is more than the packet's own. */
  sendOverpadded(payload: Buffer): void
  /** The next packet of that type that was not yet taken, or of any of them. */
  next(...types: number[]): Promise<Packet>
  /** All that came so far, in order, except what `next` took. */
  readonly packets: Packet[]
  /** What ended the connection. */
  readonly closed: Promise<string>
  rekey(): void
  /** From now on an IGNORE goes before every packet, in key exchanges, too: asyncssh does so. */
  chatter(): void
  close(): void
}

export interface PeerOptions extends ConnectConfig {
  /** Do not let ssh2's client see, and answer, these. */
  readonly hide?: readonly number[]
}

/** Connects; resolves when logged in, or, with `authenticate: false`, when the service is accepted. */
export async function connectPeer(
  server: Pick<TestServer, 'port' | 'privateKey'>,
  options: PeerOptions & { readonly authenticate?: boolean } = {},
): Promise<Peer> {
  const { hide = [], authenticate = true, ...config } = options
  const client = new ssh2.Client()
  const packets: Packet[] = []
  const waiting: { types: number[]; resolve: (packet: Packet) => void; reject: (error: Error) => void }[] = []
  let ended: ((reason: string) => void) | undefined
  const closed = new Promise<string>((resolve) => {
    ended = resolve
  })
  client.on('error', (error) => ended?.(error.message))
  client.on('close', () => {
    ended?.('closed')
    for (const { reject, types } of waiting) reject(new Error(`closed before a packet of type ${types}`))
  })
  client.connect({
    host: '127.0.0.1',
    port: server.port,
    username: 'dev@web',
    privateKey: server.privateKey,
    readyTimeout: 20_000,
    ...(authenticate ? {} : { authHandler: (_left, _partial, _next) => {} }),
    ...config,
  })
  // Without its native binding ssh2 writes a packet in pieces, and the second would wait for an acknowledgement.
  client.setNoDelay(true)
  const protocol = (client as unknown as { _protocol: StockProtocol })._protocol
  const original = protocol._onPayload
  protocol._onPayload = (payload) => {
    const type = payload[0] ?? 0
    const copy = Buffer.from(payload)
    const received = { type, payload: copy, reader: new PacketReader(copy, 1) }
    const index = waiting.findIndex(({ types }) => types.includes(type))
    if (index >= 0) waiting.splice(index, 1)[0]?.resolve(received)
    else packets.push(received)
    return hide.includes(type) ? undefined : original(payload)
  }
  function framed(payload: Buffer): Buffer {
    const writer = protocol._packetRW.write
    const at = writer.allocStart
    const bytes = writer.alloc(payload.length)
    bytes.set(payload, at)
    return writer.finalize(bytes)
  }
  const peer: Peer = {
    client,
    packets,
    closed,
    send: (payload) => protocol._cipher.encrypt(framed(payload)),
    sendInExchange(payload) {
      const writer = protocol._packetRW.write
      const at = writer.allocStartKEX
      const bytes = writer.alloc(payload.length, true)
      bytes.set(payload, at)
      protocol._cipher.encrypt(writer.finalize(bytes, true))
    },
    sendOverpadded(payload) {
      const bytes = framed(payload)
      bytes[4] = 255
      protocol._cipher.encrypt(bytes)
    },
    next(...types) {
      const index = packets.findIndex(({ type }) => types.includes(type))
      const [found] = index >= 0 ? packets.splice(index, 1) : []
      if (found) return Promise.resolve(found)
      return new Promise((resolve, reject) => {
        const timer = setTimeout(() => reject(new Error(`no packet of type ${types}`)), 10_000)
        waiting.push({
          types,
          resolve: (received) => {
            clearTimeout(timer)
            resolve(received)
          },
          reject: (error) => {
            clearTimeout(timer)
            reject(error)
          },
        })
      })
    },
    rekey: () => protocol.rekey(),
    chatter() {
      let cipher = chattering(protocol._cipher)
      Object.defineProperty(protocol, '_cipher', {
        get: () => cipher,
        set: (next: StockCipher) => {
          cipher = chattering(next)
        },
      })
    },
    close: () => client.destroy(),
  }
  if (authenticate) await once(client, 'ready')
  else await peer.next(Message.SERVICE_ACCEPT)
  return peer
}

function chattering(cipher: StockCipher): StockCipher {
  const encrypt = cipher.encrypt.bind(cipher)
  const ignored = packet(Message.IGNORE, 'chatter')
  cipher.encrypt = (bytes) => {
    const before = cipher.allocPacket(ignored.length)
    before.set(ignored, 5)
    encrypt(before)
    encrypt(bytes)
  }
  return cipher
}

export const HIDE_CHANNELS = [91, 92, 93, 94, 95, 96, 97, 98, 99, 100, Message.REQUEST_SUCCESS, Message.REQUEST_FAILURE]

export interface OpenChannel {
  /** The server's number of it. */
  readonly id: number
  readonly window: number
  request(type: string, wantReply: boolean, data?: Buffer): void
  data(bytes: Buffer): void
}

/** A session channel whose traffic ssh2's client does not see: connect with `hide: HIDE_CHANNELS`. */
export async function openSession(
  peer: Peer,
  { window = 2 ** 21, packetSize = 32768, local = 7 } = {},
): Promise<OpenChannel> {
  peer.send(packet(Message.CHANNEL_OPEN, 'session', local, window, packetSize))
  const { reader } = await peer.next(Message.CHANNEL_OPEN_CONFIRMATION, Message.CHANNEL_OPEN_FAILURE)
  reader.u32()
  const id = reader.u32()
  return {
    id,
    window: reader.u32(),
    request: (type, wantReply, data = Buffer.alloc(0)) =>
      peer.send(packet(Message.CHANNEL_REQUEST, id, type, wantReply, { raw: data })),
    data: (bytes) => peer.send(packet(Message.CHANNEL_DATA, id, bytes)),
  }
}

export { fields, Message, packet }
