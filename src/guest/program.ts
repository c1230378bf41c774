/** A SPAWN or SFTP channel as an engine's Exec. */

import { Writable } from 'node:stream'
import type { HatchwayError } from '../base/errors.ts'
import type { ExitStatus, WindowSize } from '../base/program.ts'
import type { OutputSink } from '../engine/engine.ts'
import { type ChannelLink, type GuestChannel, Opening } from './channel.ts'
import { ReceiveFlow, SendFlow } from './flow.ts'
import { CLOSE_MODE, closeFrame, FRAME_TYPE, frame, ProtocolError, START_CREDIT } from './frames.ts'
import { type GuestExec, GuestRefusal, type GuestStage } from './guest.ts'
import { exitStatus, signalNumber } from './linux.ts'
import { resizeFrame } from './requests.ts'

export interface ProgramOptions {
  /** A pty has one output and ends with it; without one, stdout and stderr are waited for as sshd does. */
  readonly tty: boolean
  readonly killTree: boolean
  /** The program was offered a line of its own for stdin and stdout. */
  readonly mayHaveLine?: boolean
  /** For the text of a refusal. */
  readonly what: string
}

export class HelperProgram implements GuestExec, GuestChannel {
  readonly stdin: Writable
  readonly exit: Promise<ExitStatus>
  readonly opening = new Opening<HelperProgram>()
  readonly #link: ChannelLink
  readonly #options: ProgramOptions
  readonly #sink: OutputSink
  readonly #send: SendFlow
  readonly #receive: ReceiveFlow
  readonly #ending = new Opening<ExitStatus>()
  #opened = false
  #hasLine = false
  /** We sent CLOSE: what still comes is dropped. */
  #closing = false
  #closed = false
  #status: ExitStatus | undefined
  readonly #ended = { 1: false, 2: false }
  #isUnread = false
  #unreadListener: (() => void) | undefined

  constructor(link: ChannelLink, options: ProgramOptions, sink: OutputSink) {
    this.#link = link
    this.#options = options
    this.#sink = sink
    this.#send = new SendFlow(link.id, link.output)
    this.#receive = new ReceiveFlow(link.id, link.output, START_CREDIT)
    this.exit = this.#ending.settled
    this.#ended[2] = options.tty
    this.stdin = new Writable({
      highWaterMark: 131072,
      write: (chunk: Buffer, _encoding, done) => this.#send.write(chunk, done),
      final: (done) => {
        if (!this.#closing && !this.#closed) this.#send.eof()
        done()
      },
    })
    // Exec.stdin never emits 'error' towards its user; a write after end is the only way to get one.
    this.stdin.on('error', () => {})
  }

  resume(): void {
    if (!this.#closing && !this.#closed) this.#receive.resume()
  }

  resize(size: WindowSize): void {
    if (this.#live) this.#link.output.control(resizeFrame(this.#link.id, size))
  }

  signal(name: string): boolean {
    const number = signalNumber(name)
    if (number === undefined || !this.#live || this.#status !== undefined) return false
    this.#link.output.control(frame(FRAME_TYPE.SIGNAL, this.#link.id, Buffer.from([number])))
    return true
  }

  onUnread(listener: () => void): void {
    this.#unreadListener = listener
    if (this.#isUnread) listener()
  }

  close(): void {
    if (this.#closing) return
    if (!this.#closed && !this.#finished) {
      this.#link.output.control(closeFrame(this.#link.id, this.#options.killTree ? CLOSE_MODE.TREE : CLOSE_MODE.HANGUP))
    }
    this.#closing = true
    this.#send.drop()
    this.#ending.resolve(this.#status ?? { signal: 'HUP', coreDumped: false })
  }

  /** The program's stdin and stdout go over a line of their own, and not through here. */
  get hasLine(): boolean {
    return this.#hasLine
  }

  get #live(): boolean {
    return this.#opened && !this.#closing && !this.#closed
  }

  get #finished(): boolean {
    return this.#status !== undefined && this.#ended[1] && this.#ended[2]
  }

  opened(_pid: number, credit: number): void {
    if (this.#opened) throw new ProtocolError('OPENED twice')
    this.#opened = true
    this.#send.grant(credit)
    if (credit === 0 && this.#options.mayHaveLine) this.#hasLine = this.#ended[1] = true
    this.opening.resolve(this)
  }

  refused(stage: GuestStage, errno: string): void {
    if (this.#opened) throw new ProtocolError('FAIL after OPENED')
    this.#closed = true
    this.#send.drop()
    this.opening.reject(new GuestRefusal(stage, errno, this.#options.what))
  }

  data(fd: 1 | 2, piece: Buffer): void {
    this.#mustBeOpen('DATA')
    if (this.#ended[fd]) throw new ProtocolError(`output on ${fd} after its end`)
    this.#receive.take(piece.length)
    if (!this.#closing) this.#receive.consumed(piece.length, this.#sink.write(fd, piece))
  }

  eof(fd: 1 | 2): void {
    this.#mustBeOpen('EOF')
    if (this.#ended[fd]) throw new ProtocolError(`a second end of ${fd}`)
    this.#ended[fd] = true
    this.#settle()
  }

  window(bytes: number): void {
    this.#mustBeOpen('WINDOW')
    this.#send.grant(bytes)
  }

  exited(kind: number, value: number, coreDumped: boolean): void {
    this.#mustBeOpen('EXIT')
    if (this.#status !== undefined) throw new ProtocolError('EXIT twice')
    this.#status = exitStatus(kind, value, coreDumped)
    this.#settle()
  }

  unread(): void {
    this.#mustBeOpen('UNREAD')
    if (this.#isUnread) throw new ProtocolError('UNREAD twice')
    this.#isUnread = true
    this.#send.drop()
    if (!this.#closing) this.#unreadListener?.()
  }

  channelClosed(): void {
    if (!this.#closing && !this.#finished) throw new ProtocolError('CLOSED of a living program')
    this.#closed = true
    this.#send.drop()
    if (!this.#opened) this.opening.reject(new GuestRefusal('resources', 'ECANCELED', this.#options.what))
  }

  lost(error: HatchwayError): void {
    this.#closed = true
    this.#send.drop()
    this.opening.reject(error)
    this.#ending.reject(error)
  }

  #mustBeOpen(what: string): void {
    if (!this.#opened) throw new ProtocolError(`${what} before OPENED`)
  }

  #settle(): void {
    if (!this.#finished || this.#status === undefined) return
    this.#send.drop()
    this.#ending.resolve(this.#status)
  }
}
