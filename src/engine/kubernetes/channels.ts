/**
 * The channels of an exec over one WebSocket: the first byte of a message says which (v4.channel.k8s.io). With
 * v5.channel.k8s.io (KEP-4006) a message of 255 and a channel's number closes that channel, which is how stdin ends.
 */
import type { WindowSize } from '../../base/program.ts'

export const V5 = 'v5.channel.k8s.io'
export const V4 = 'v4.channel.k8s.io'

export const STDIN = 0
export const STDOUT = 1
export const STDERR = 2
export const EXEC_STATUS = 3
export const RESIZE = 4
const CLOSE = 255

/** Servers read a message into memory as a whole. */
const MAX_MESSAGE_BYTES = 64 * 1024

/** Bytes of a program's stdin as messages: copies, for the caller's are lent. */
export function* stdinMessages(bytes: Buffer): Generator<Buffer> {
  for (let at = 0; at < bytes.length; at += MAX_MESSAGE_BYTES) {
    const part = bytes.subarray(at, at + MAX_MESSAGE_BYTES)
    const message = Buffer.allocUnsafe(part.length + 1)
    message[0] = STDIN
    part.copy(message, 1)
    yield message
  }
}

export function closeMessage(channel: number): Buffer {
  return Buffer.from([CLOSE, channel])
}

/** TerminalSize (remotecommand); each is a uint16 there. */
export function resizeMessage({ cols, rows }: WindowSize): Buffer {
  return Buffer.from(`${String.fromCharCode(RESIZE)}${JSON.stringify({ Width: clamp(cols), Height: clamp(rows) })}`)
}

function clamp(value: number): number {
  return Math.max(0, Math.min(65_535, Math.trunc(value) || 0))
}
