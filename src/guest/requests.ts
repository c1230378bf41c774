/** The gateway's requests of docs/guest-protocol.md as bytes: INIT, SPAWN, CONNECT, LISTEN, SFTP, SWITCH. */
import type { WindowSize } from '../base/program.ts'
import { bytesOf } from '../bytes/byte-text.ts'
import {
  ADDRESS_KIND,
  FRAME_TYPE,
  frame,
  LISTEN_FLAG,
  MAX_PAYLOAD,
  MAX_REQUEST_BYTES,
  PROTOCOL_VERSION,
  SFTP_FLAG,
  SPAWN_FLAG,
  START_CREDIT,
} from './frames.ts'
import { type GuestAddress, type GuestBind, GuestRefusal, type GuestSpawn, type SftpSpawn } from './guest.ts'

export interface InitSettings {
  readonly leaseMs: number
  readonly graceMs: number
  readonly maxChannels: number
}

export function initFrame(settings: InitSettings): Buffer {
  const payload = Buffer.alloc(18)
  payload.writeUInt16BE(PROTOCOL_VERSION, 0)
  payload.writeUInt32BE(settings.leaseMs, 2)
  payload.writeUInt32BE(settings.graceMs, 6)
  payload.writeUInt32BE(settings.maxChannels, 10)
  return frame(FRAME_TYPE.INIT, 0, payload)
}

export function spawnRequest(spec: GuestSpawn): Buffer {
  const fixed = Buffer.alloc(16)
  const flags =
    (spec.tty === undefined ? 0 : SPAWN_FLAG.PTY) |
    (spec.killTree ? SPAWN_FLAG.MONITOR : 0) |
    (spec.standIn ? SPAWN_FLAG.STAND_IN : 0)
  fixed.writeUInt32BE(flags, 0)
  fixed.writeUInt32BE(START_CREDIT, 4)
  if (spec.tty !== undefined) writeWindow(fixed, 8, spec.tty)
  return Buffer.concat([
    fixed,
    counted(spec.tty?.modes ?? Buffer.alloc(0)),
    text(spec.program),
    list(spec.argv),
    list(spec.env),
    text(spec.cwd),
    text(spec.cwdWarning),
  ])
}

export function connectRequest(address: GuestAddress): Buffer {
  const fixed = Buffer.alloc(7)
  fixed.writeUInt32BE(START_CREDIT, 0)
  fixed.writeUInt8(kindOf(address), 4)
  fixed.writeUInt16BE(address.kind === 'tcp' ? address.port : 0, 5)
  return Buffer.concat([fixed, text(address.kind === 'tcp' ? address.host : address.path)])
}

export function listenRequest(bind: GuestBind): Buffer {
  const fixed = Buffer.alloc(3)
  const tail = Buffer.alloc(5)
  fixed.writeUInt8(kindOf(bind), 0)
  if (bind.kind === 'tcp') fixed.writeUInt16BE(bind.port, 1)
  else {
    tail.writeUInt32BE(bind.mode, 0)
    tail.writeUInt8((bind.unlink ? LISTEN_FLAG.UNLINK : 0) | (bind.ownDirectory ? LISTEN_FLAG.DIRECTORY : 0), 4)
  }
  return Buffer.concat([fixed, text(bind.kind === 'tcp' ? bind.host : bind.path), tail])
}

/** `token`: of the connection that may carry its bytes. */
export function sftpRequest({ directory, readOnly }: SftpSpawn, token: Buffer | undefined): Buffer {
  const fixed = Buffer.alloc(8)
  fixed.writeUInt32BE((readOnly ? SFTP_FLAG.READ_ONLY : 0) | (token === undefined ? 0 : SFTP_FLAG.OWN_LINE), 0)
  fixed.writeUInt32BE(START_CREDIT, 4)
  return Buffer.concat([fixed, token ?? Buffer.alloc(0), text(directory)])
}

export function switchFrame(token: Buffer, path: string): Buffer {
  return frame(FRAME_TYPE.SWITCH, 0, Buffer.concat([token, text(path)]))
}

/** A request as frames: PARTs and the last piece under its own type. Undefined: longer than a request may be (E2BIG). */
export function requestFrames(type: number, channel: number, payload: Buffer): Buffer | undefined {
  if (payload.length > MAX_REQUEST_BYTES) return undefined
  const frames: Buffer[] = []
  let at = 0
  for (; payload.length - at > MAX_PAYLOAD; at += MAX_PAYLOAD) {
    frames.push(frame(FRAME_TYPE.PART, channel, payload.subarray(at, at + MAX_PAYLOAD)))
  }
  frames.push(frame(type, channel, payload.subarray(at)))
  return frames.length === 1 ? frames[0] : Buffer.concat(frames)
}

export function resizeFrame(channel: number, window: WindowSize): Buffer {
  const payload = Buffer.alloc(8)
  writeWindow(payload, 0, window)
  return frame(FRAME_TYPE.RESIZE, channel, payload)
}

function kindOf({ kind }: GuestAddress | GuestBind): number {
  return kind === 'tcp' ? ADDRESS_KIND.TCP : ADDRESS_KIND.UNIX
}

/** struct winsize holds 16 bits a field; an SSH client may name 32. */
function writeWindow(bytes: Buffer, at: number, window: WindowSize): void {
  const fields = [window.cols, window.rows, window.width ?? 0, window.height ?? 0]
  for (const [i, value] of fields.entries()) bytes.writeUInt16BE(Math.max(0, Math.min(value, 65535)), at + i * 2)
}

function list(items: readonly (string | Buffer)[]): Buffer {
  const count = Buffer.alloc(4)
  count.writeUInt32BE(items.length, 0)
  return Buffer.concat([count, ...items.map(text)])
}

/** A NUL would end the string inside the kernel and let what follows slip past every check made on the whole. */
function text(value: string | Buffer): Buffer {
  const bytes = typeof value === 'string' ? bytesOf(value) : value
  if (bytes.includes(0)) throw new GuestRefusal('exec', 'EINVAL', 'a NUL byte in an argument, variable or path')
  return counted(bytes)
}

function counted(bytes: Buffer): Buffer {
  const length = Buffer.alloc(4)
  length.writeUInt32BE(bytes.length, 0)
  return Buffer.concat([length, bytes])
}
