/** The other end of docs/guest-protocol.md in the test's own process, so that it can say what a real helper never would. */

import { Writable } from 'node:stream'
import type { HatchwayError } from '../../src/base/errors.ts'
import type { ExitStatus } from '../../src/base/program.ts'
import type { Exec, OutputSink } from '../../src/engine/engine.ts'
import type { ConnectionSettings, GuestConnection } from '../../src/guest/connection.ts'
import { FRAME_TYPE, frame } from '../../src/guest/frames.ts'
import type { GuestSpawn } from '../../src/guest/guest.ts'
import { openConnection } from '../../src/guest/handshake.ts'

export interface Received {
  readonly type: number
  readonly channel: number
  readonly payload: Buffer
}

export function u32(...values: number[]): Buffer {
  const bytes = Buffer.alloc(values.length * 4)
  for (const [i, value] of values.entries()) bytes.writeUInt32BE(value, i * 4)
  return bytes
}

export function helloPayload(uid = 0, gid = 0, version = 1, magic = 'HWG1', features = 5): Buffer {
  return Buffer.concat([Buffer.from(magic), Buffer.from([0, version]), u32(features, uid, gid, 7)])
}

export class FakeHelper {
  readonly received: Received[] = []
  closed = false
  /** Takes nothing from its stdin while true. */
  stuck = false
  greets = true
  answersPings = true
  diagnosis: HatchwayError | 'paused' | undefined
  readonly log: string[] = []
  #sink: OutputSink | undefined
  #waiting: { test: (frame: Received) => boolean; found: (frame: Received) => void }[] = []
  #pending = Buffer.alloc(0)
  #held: (() => void) | undefined
  #finish: (status: ExitStatus) => void = () => {}
  #fail: (error: Error) => void = () => {}

  settings(extra: Partial<ConnectionSettings> = {}): ConnectionSettings {
    const say = (fields: object, message: string) => void this.log.push(`${message} ${JSON.stringify(fields)}`)
    return {
      uid: 0,
      gid: 0,
      leaseMs: 60_000,
      graceMs: 1000,
      helloMs: 2000,
      log: { info: say, warn: say },
      diagnose: async () => this.diagnosis,
      ...extra,
    }
  }

  connect(extra: Partial<ConnectionSettings> = {}): Promise<GuestConnection> {
    return openConnection(async (sink) => this.start(sink), this.settings(extra), AbortSignal.timeout(10_000))
  }

  start(sink: OutputSink): Exec {
    this.#sink = sink
    const exit = new Promise<ExitStatus>((resolve, reject) => {
      this.#finish = resolve
      this.#fail = reject
    })
    exit.catch(() => {})
    const stdin = new Writable({
      write: (chunk: Buffer, _encoding, done) => {
        this.#take(chunk)
        if (this.stuck) this.#held = done
        else done()
      },
    })
    if (this.greets) setImmediate(() => this.send(FRAME_TYPE.HELLO, 0, helloPayload()))
    return {
      stdin,
      exit,
      resume() {},
      resize() {},
      signal: () => false,
      close: () => {
        this.closed = true
        this.#finish({ code: 0 })
      },
    }
  }

  unstick(): void {
    this.stuck = false
    this.#held?.()
  }

  send(type: number, channel: number, payload?: Buffer): void {
    this.raw(frame(type, channel, payload))
  }

  /** Somebody connected to the listener on `channel`: now they are `accepted`. */
  accepts(accepted: number, channel: number): void {
    this.send(FRAME_TYPE.ACCEPT, accepted, Buffer.concat([u32(channel, 0), Buffer.from([0, 0]), u32(0)]))
  }

  raw(bytes: Buffer): void {
    // A lent chunk: what is kept of it must have been copied.
    const lent = Buffer.from(bytes)
    this.#sink?.write(1, lent)
    lent.fill(0xee)
  }

  stderr(text: string): void {
    this.#sink?.write(2, Buffer.from(text))
  }

  exits(status: ExitStatus | Error): void {
    if (status instanceof Error) this.#fail(status)
    else this.#finish(status)
  }

  /** The first frame of that type, past or to come. */
  frame(type: number, channel?: number, skip = 0): Promise<Received> {
    const test = (one: Received) => one.type === type && (channel === undefined || one.channel === channel)
    const past = this.received.filter(test)[skip]
    if (past) return Promise.resolve(past)
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`no frame of type ${type}`)), 5000)
      let left = skip - this.received.filter(test).length
      this.#waiting.push({
        test: (one) => test(one) && left-- <= 0,
        found: (one) => {
          clearTimeout(timer)
          resolve(one)
        },
      })
    })
  }

  count(type: number): number {
    return this.received.filter((one) => one.type === type).length
  }

  bytesReceived(channel: number): number {
    return this.received
      .filter((one) => one.type === FRAME_TYPE.DATA && one.channel === channel)
      .reduce((sum, one) => sum + one.payload.length, 0)
  }

  #take(chunk: Buffer): void {
    this.#pending = Buffer.concat([this.#pending, chunk])
    while (this.#pending.length >= 8) {
      const length = this.#pending.readUIntBE(0, 3)
      if (this.#pending.length < 8 + length) return
      const one = {
        type: this.#pending.readUInt8(3),
        channel: this.#pending.readUInt32BE(4),
        payload: Buffer.from(this.#pending.subarray(8, 8 + length)),
      }
      this.#pending = this.#pending.subarray(8 + length)
      this.received.push(one)
      if (one.type === FRAME_TYPE.PING && this.answersPings)
        setImmediate(() => this.send(FRAME_TYPE.PONG, 0, one.payload))
      this.#waiting = this.#waiting.filter((waiter) => {
        if (!waiter.test(one)) return true
        waiter.found(one)
        return false
      })
    }
  }
}

export const SPEC: GuestSpawn = {
  program: '/bin/sh',
  argv: ['sh'],
  env: [],
  cwd: '/',
  cwdWarning: 'no home',
  killTree: false,
}

/** Collects output; `open` false answers false to every write. */
export class Sink implements OutputSink {
  readonly out: Buffer[] = []
  readonly err: Buffer[] = []
  bytes = 0
  open = true

  write(fd: 1 | 2, chunk: Buffer): boolean {
    this.bytes += chunk.length
    if (this.bytes < 4 * 1024 * 1024) (fd === 1 ? this.out : this.err).push(Buffer.from(chunk))
    return this.open
  }

  get text(): string {
    return Buffer.concat(this.out).toString()
  }

  get errorText(): string {
    return Buffer.concat(this.err).toString()
  }
}
