/**
 * What is said to a client that has no place among those that are logging in: sshd's line, which OpenSSH's client shows
 * only with -v, and then as SSH a disconnect, which it always shows. RFC 4253 §11.1 allows one before there are keys.
 */
import type { Duplex } from 'node:stream'
import { GREETING } from './greeting.ts'
import { DisconnectReason, fields, Message, packet } from './packets.ts'

const READ_MS = 2_000
/** Each has a descriptor meanwhile; a flood of clients is only closed. */
const MAX_AT_ONCE = 100
/** RFC 4253 §6. */
const BLOCK_BYTES = 8
const MIN_PADDING_BYTES = 4

/** Returns how to say last words on a stream and close it; false: too many are being told, and nothing was done. */
export function createLastWords(): (stream: Duplex, line: string) => boolean {
  let being = 0
  return (stream, line) => {
    if (being >= MAX_AT_ONCE) return false
    being++
    const timer = setTimeout(() => stream.destroy(), READ_MS).unref()
    stream.once('close', () => {
      clearTimeout(timer)
      being--
    })
    // Closed while bytes of the client lie unread, TCP would reset the connection, and the client would not read ours.
    stream.resume()
    stream.once('end', () => stream.destroy())
    stream.end(Buffer.concat([Buffer.from(line + GREETING), disconnect(line.trim())]))
    return true
  }
}

function disconnect(reason: string): Buffer {
  const payload = packet(Message.DISCONNECT, DisconnectReason.TOO_MANY_CONNECTIONS, reason, '')
  const least = 5 + payload.length + MIN_PADDING_BYTES
  const padding = MIN_PADDING_BYTES + ((BLOCK_BYTES - (least % BLOCK_BYTES)) % BLOCK_BYTES)
  const head = Buffer.from([padding])
  return Buffer.concat([fields(1 + payload.length + padding), head, payload, Buffer.alloc(padding)])
}
