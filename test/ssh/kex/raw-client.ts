/** A client that says what it likes up to NEWKEYS, where nothing is encrypted yet (RFC 4253, 6 and 7). */
import { randomBytes } from 'node:crypto'
import { connect } from 'node:net'

export const MESSAGE = { DISCONNECT: 1, KEXINIT: 20, NEWKEYS: 21, KEX_INIT: 30, KEX_REPLY: 31 } as const

export interface RawExchange {
  readonly kex: readonly string[]
  /** Payloads sent after our KEXINIT. */
  readonly send: readonly Buffer[]
  /** first_kex_packet_follows: the first of `send` is a guess. */
  readonly guessed?: boolean
}

/** The server's payloads, the KEXINIT first, until it disconnects or has sent NEWKEYS. */
export async function exchange(port: number, { kex, send, guessed = false }: RawExchange): Promise<Buffer[]> {
  const socket = connect(port, '127.0.0.1')
  socket.setTimeout(20_000, () => socket.destroy(new Error('the server fell silent')))
  socket.write('SSH-2.0-hw_test\r\n')
  for (const payload of [kexinit(kex, guessed), ...send]) socket.write(frame(payload))

  const payloads: Buffer[] = []
  let received = Buffer.alloc(0)
  let identified = false
  try {
    for await (const chunk of socket) {
      received = Buffer.concat([received, chunk])
      if (!identified) {
        const end = received.indexOf('\n')
        if (end < 0) continue
        received = received.subarray(end + 1)
        identified = true
      }
      while (received.length >= 4 && received.length >= 4 + received.readUInt32BE(0)) {
        const length = received.readUInt32BE(0)
        const payload = received.subarray(5, 4 + length - received.readUInt8(4))
        payloads.push(payload)
        received = received.subarray(4 + length)
        if (payload[0] === MESSAGE.NEWKEYS || payload[0] === MESSAGE.DISCONNECT) return payloads
      }
    }
    return payloads
  } finally {
    socket.destroy()
  }
}

/** SSH_MSG_KEX_HYBRID_INIT, on the wire the same as KEXDH_INIT and KEX_ECDH_INIT. */
export function kexInit(share: Buffer): Buffer {
  return Buffer.concat([Buffer.of(MESSAGE.KEX_INIT), string(share)])
}

/** Host key, server share and signature of a KEX_REPLY. */
export function readReply(payload: Buffer): { readonly share: Buffer } {
  const hostKeyEnd = 5 + payload.readUInt32BE(1)
  return { share: payload.subarray(hostKeyEnd + 4, hostKeyEnd + 4 + payload.readUInt32BE(hostKeyEnd)) }
}

export function kexinit(kex: readonly string[], guessed = false): Buffer {
  const lists = [
    kex.join(','),
    'ssh-ed25519',
    ...['aes128-gcm@openssh.com', 'aes128-gcm@openssh.com'],
    ...['hmac-sha2-256', 'hmac-sha2-256'],
    ...['none', 'none'],
    ...['', ''],
  ]
  const names = lists.map((list) => string(Buffer.from(list)))
  return Buffer.concat([Buffer.of(MESSAGE.KEXINIT), randomBytes(16), ...names, Buffer.of(guessed ? 1 : 0, 0, 0, 0, 0)])
}

/** A packet of RFC 4253 §6, nothing encrypted. */
export function frame(payload: Buffer): Buffer {
  const padding = 16 - ((payload.length + 5) % 8)
  const head = Buffer.alloc(5)
  head.writeUInt32BE(1 + payload.length + padding, 0)
  head.writeUInt8(padding, 4)
  return Buffer.concat([head, payload, Buffer.alloc(padding)])
}

function string(bytes: Buffer): Buffer {
  const length = Buffer.alloc(4)
  length.writeUInt32BE(bytes.length)
  return Buffer.concat([length, bytes])
}
