/** The parser of what a hostile helper may write (docs/guest-protocol.md). */
import {
  FEATURE,
  FRAME_TYPE,
  HEADER,
  HELPERS_ID,
  MAX_CREDIT,
  MAX_PAYLOAD,
  PROTOCOL_VERSION,
  ProtocolError,
  STAGES,
} from './frames.ts'

/** Longest payload of any helper's frame but DATA and DATA2: ACCEPT with an address. What is longer is a violation. */
const MAX_CONTROL_BYTES = 512

/** HELLO has the helper's other features and its pid, too; the gateway does not need them. */
export interface Hello {
  readonly uid: number
  readonly gid: number
  /** SFTP may have a connection of its own. A helper that an operator mounted may be older than we are. */
  readonly ownLine: boolean
}

/** What a helper may say, already checked in itself; whether it may say it now is the receiver's to judge. */
export type HelperFrames = ConnectionFrames & ChannelFrames

/** On channel 0. */
export interface ConnectionFrames {
  hello(hello: Hello): void
  pong(opaque: bigint): void
  switched(errno: number): void
}

export interface ChannelFrames {
  opened(channel: number, value: number, credit: number): void
  fail(channel: number, errno: number, stage: number): void
  accept(channel: number, listener: number, credit: number, port: number, address: Buffer): void
  /** A piece of a DATA frame, at least one byte, lent: it points into the chunk that was fed. */
  data(channel: number, fd: 1 | 2, piece: Buffer): void
  eof(channel: number, fd: 1 | 2): void
  window(channel: number, bytes: number): void
  exit(channel: number, kind: number, value: number, coreDumped: boolean): void
  closed(channel: number): void
  unread(channel: number): void
}

/** Exact payload length of each control frame a helper may send; -1: variable, up to MAX_CONTROL_BYTES. */
const CONTROL_LENGTH: Readonly<Record<number, number>> = {
  [FRAME_TYPE.HELLO]: 22,
  [FRAME_TYPE.PONG]: 8,
  [FRAME_TYPE.SWITCHED]: 4,
  [FRAME_TYPE.OPENED]: 8,
  [FRAME_TYPE.FAIL]: 5,
  [FRAME_TYPE.ACCEPT]: -1,
  [FRAME_TYPE.EOF]: 0,
  [FRAME_TYPE.EOF2]: 0,
  [FRAME_TYPE.WINDOW]: 4,
  [FRAME_TYPE.EXIT]: 3,
  [FRAME_TYPE.CLOSED]: 0,
  [FRAME_TYPE.UNREAD]: 0,
}

const ON_CONNECTION = new Set<number>([FRAME_TYPE.HELLO, FRAME_TYPE.PONG, FRAME_TYPE.SWITCHED])

/**
 * Takes chunks as they come, cut anywhere. Holds one header and one control payload (520 bytes) and nothing else;
 * a frame's length, type and channel are judged before a byte of it is kept. Throws ProtocolError; dead after that.
 */
export class FrameParser {
  #to: HelperFrames
  readonly #head = Buffer.alloc(HEADER)
  readonly #body = Buffer.alloc(MAX_CONTROL_BYTES)
  #have = 0
  #type = 0
  #channel = 0
  #left = 0
  #filled = 0
  #broken = false

  constructor(to: HelperFrames) {
    this.#to = to
  }

  /** Others hear what comes from now on; what has come of a frame is kept. */
  redirect(to: HelperFrames): void {
    this.#to = to
  }

  feed(chunk: Buffer): void {
    if (this.#broken) return
    try {
      this.#feed(chunk)
    } catch (error) {
      this.#broken = true
      throw error
    }
  }

  #feed(chunk: Buffer): void {
    let at = 0
    while (at < chunk.length) {
      if (this.#have < HEADER) {
        const n = Math.min(HEADER - this.#have, chunk.length - at)
        chunk.copy(this.#head, this.#have, at, at + n)
        this.#have += n
        at += n
        if (this.#have < HEADER) return
        this.#begin()
        if (this.#left === 0) this.#finish()
        continue
      }
      const n = Math.min(this.#left, chunk.length - at)
      if (this.#type === FRAME_TYPE.DATA || this.#type === FRAME_TYPE.DATA2) {
        this.#to.data(this.#channel, this.#type === FRAME_TYPE.DATA ? 1 : 2, chunk.subarray(at, at + n))
        this.#left -= n
        if (this.#left === 0) this.#have = 0
      } else {
        chunk.copy(this.#body, this.#filled, at, at + n)
        this.#filled += n
        this.#left -= n
        if (this.#left === 0) this.#finish()
      }
      at += n
    }
  }

  #begin(): void {
    const word = this.#head.readUInt32BE(0)
    const length = word >>> 8
    const type = word & 0xff
    const channel = this.#head.readUInt32BE(4)
    if (type === FRAME_TYPE.DATA || type === FRAME_TYPE.DATA2) {
      if (length === 0 || length > MAX_PAYLOAD) throw new ProtocolError(`DATA of ${length} bytes`)
    } else {
      const exact = CONTROL_LENGTH[type]
      if (exact === undefined) throw new ProtocolError(`frame type ${type}`)
      if (exact < 0 ? length > MAX_CONTROL_BYTES : length !== exact) {
        throw new ProtocolError(`frame type ${type} of ${length} bytes`)
      }
    }
    if (ON_CONNECTION.has(type) !== (channel === 0)) throw new ProtocolError(`frame type ${type} on channel ${channel}`)
    this.#type = type
    this.#channel = channel
    this.#left = length
    this.#filled = 0
  }

  #finish(): void {
    this.#have = 0
    const body = this.#body
    const to = this.#to
    const channel = this.#channel
    switch (this.#type) {
      case FRAME_TYPE.HELLO:
        to.hello(readHello(body))
        break
      case FRAME_TYPE.PONG:
        to.pong(body.readBigUInt64BE(0))
        break
      case FRAME_TYPE.SWITCHED:
        to.switched(body.readUInt32BE(0))
        break
      case FRAME_TYPE.OPENED:
        to.opened(channel, body.readUInt32BE(0), credit(body.readUInt32BE(4)))
        break
      case FRAME_TYPE.FAIL:
        this.#fail(body.readUInt32BE(0), body.readUInt8(4))
        break
      case FRAME_TYPE.ACCEPT:
        this.#accept()
        break
      case FRAME_TYPE.EOF:
        to.eof(channel, 1)
        break
      case FRAME_TYPE.EOF2:
        to.eof(channel, 2)
        break
      case FRAME_TYPE.WINDOW:
        to.window(channel, nonZero(credit(body.readUInt32BE(0))))
        break
      case FRAME_TYPE.EXIT:
        this.#exit(body.readUInt8(0), body.readUInt8(1), body.readUInt8(2))
        break
      case FRAME_TYPE.CLOSED:
        to.closed(channel)
        break
      case FRAME_TYPE.UNREAD:
        to.unread(channel)
        break
    }
  }

  #fail(errno: number, stage: number): void {
    if (stage >= STAGES.length) throw new ProtocolError(`FAIL at stage ${stage}`)
    if (errno === 0 || errno > 4095) throw new ProtocolError(`FAIL with errno ${errno}`)
    this.#to.fail(this.#channel, errno, stage)
  }

  #exit(kind: number, value: number, core: number): void {
    if (kind > 1 || core > 1 || (kind === 1 && (value === 0 || value > 127))) {
      throw new ProtocolError(`EXIT ${kind} ${value} ${core}`)
    }
    this.#to.exit(this.#channel, kind, value, core === 1)
  }

  #accept(): void {
    if (this.#channel < HELPERS_ID) throw new ProtocolError(`ACCEPT on channel ${this.#channel}`)
    const body = this.#body.subarray(0, this.#filled)
    if (body.length < 14 || body.readUInt32BE(10) !== body.length - 14) throw new ProtocolError('ACCEPT cut short')
    this.#to.accept(
      this.#channel,
      body.readUInt32BE(0),
      credit(body.readUInt32BE(4)),
      body.readUInt16BE(8),
      body.subarray(14),
    )
  }
}

function readHello(body: Buffer): Hello {
  const version = body.readUInt16BE(4)
  if (body.toString('latin1', 0, 4) !== 'HWG1') throw new ProtocolError('HELLO without HWG1')
  if (version !== PROTOCOL_VERSION) throw new ProtocolError(`HELLO of version ${version}`)
  const ownLine = (body.readUInt32BE(6) & FEATURE.OWN_LINE) !== 0
  return { uid: body.readUInt32BE(10), gid: body.readUInt32BE(14), ownLine }
}

function credit(bytes: number): number {
  if (bytes > MAX_CREDIT) throw new ProtocolError(`a credit of ${bytes} bytes`)
  return bytes
}

function nonZero(bytes: number): number {
  if (bytes === 0) throw new ProtocolError('WINDOW of 0')
  return bytes
}

function unexpected(what: string): () => never {
  return () => {
    throw new ProtocolError(`${what} out of turn`)
  }
}

/** Before HELLO, and on the exec after SWITCHED: every frame is out of turn but those put in its place. */
export const OUT_OF_TURN: HelperFrames = {
  hello: unexpected('HELLO'),
  pong: unexpected('PONG'),
  switched: unexpected('SWITCHED'),
  opened: unexpected('OPENED'),
  fail: unexpected('FAIL'),
  accept: unexpected('ACCEPT'),
  data: unexpected('DATA'),
  eof: unexpected('EOF'),
  window: unexpected('WINDOW'),
  exit: unexpected('EXIT'),
  closed: unexpected('CLOSED'),
  unread: unexpected('UNREAD'),
}
