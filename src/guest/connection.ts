/** The gateway's end of one helper, from HELLO to the end: requests, frames, the lease. */
import type { Duplex } from 'node:stream'
import { HatchwayError, messageOf } from '../base/errors.ts'
import type { InsideEnd } from '../bytes/relay.ts'
import type { Exec, OutputSink } from '../engine/engine.ts'
import { deferred } from '../lifetime/deferred.ts'
import { onAbort } from '../lifetime/on-abort.ts'
import type { ChannelLink, GuestChannel, Opening } from './channel.ts'
import { ChannelTable } from './channel-table.ts'
import type { DirectLine, Door } from './direct.ts'
import { type ConnectionFrames, FrameParser, type Hello, type HelperFrames, OUT_OF_TURN } from './frame-parser.ts'
import { FRAME_TYPE, frame, MAX_CHANNELS, ProtocolError } from './frames.ts'
import type {
  Guest,
  GuestAccepted,
  GuestAddress,
  GuestBind,
  GuestExec,
  GuestListener,
  GuestSpawn,
  SftpSpawn,
} from './guest.ts'
import { GuestRefusal } from './guest.ts'
import { createLease } from './lease.ts'
import { errnoName } from './linux.ts'
import { HelperListener } from './listener.ts'
import type { GuestLog } from './log.ts'
import { Output } from './output.ts'
import { startLined } from './own-line.ts'
import { HelperProgram, type ProgramOptions } from './program.ts'
import { connectRequest, initFrame, listenRequest, requestFrames, sftpRequest, spawnRequest } from './requests.ts'
import { Socket } from './socket.ts'
import { switchOver } from './switch.ts'

const SWITCH_ANSWER_MS = 15_000
/** A request is answered by then, or its channel is closed. A connect inside may try several addresses. */
const ANSWER_MS = 150_000

export interface ConnectionSettings {
  readonly uid: number
  readonly gid: number
  readonly leaseMs: number
  readonly graceMs: number
  readonly helloMs: number
  /** Within which it says anything at all, once it was started; absent: within `helloMs`. */
  readonly signMs?: number
  /** Within which SWITCH is answered; default 15 s. */
  readonly switchMs?: number
  readonly log: GuestLog
  /** Why a helper that went or fell silent did so; "paused" while its container is, undefined when it runs on. */
  diagnose(): Promise<HatchwayError | 'paused' | undefined>
}

export class GuestConnection implements Guest {
  readonly identity: { readonly uid: number; readonly gid: number }
  /** Called when the last channel has gone. */
  onIdle: () => void = () => {}
  /** Called whenever something was asked for: a program, a socket, a listener. */
  onUse: () => void = () => {}
  /** Called once, when much has been moved. */
  onBulk: () => void = () => {}
  readonly #exec: Exec
  readonly #settings: ConnectionSettings
  readonly #output: Output
  readonly #channels: ChannelTable
  readonly #frames: HelperFrames
  readonly #life = new AbortController()
  readonly #lease: ReturnType<typeof createLease>
  readonly #parser: FrameParser
  #ending = false
  /** The reason of the helper's end is being looked for; what the helper still says is not heard. */
  #judging = false
  #onSwitched: ((errno: number) => void) | undefined
  #direct: Duplex | undefined
  #door: Door | undefined
  readonly #mayHaveLine: boolean

  constructor(exec: Exec, hello: Hello, settings: ConnectionSettings) {
    this.identity = { uid: hello.uid, gid: hello.gid }
    this.#mayHaveLine = hello.ownLine
    this.#exec = exec
    this.#settings = settings
    this.#output = new Output(exec.stdin, (error) => void this.#end(error))
    this.#channels = new ChannelTable(this.#output, { idle: () => this.onIdle(), bulk: () => this.onBulk() })
    this.#frames = { ...this.#ownFrames, ...this.#channels.frames }
    this.#parser = new FrameParser(this.#frames)
    this.#output.control(initFrame({ ...settings, maxChannels: MAX_CHANNELS }))
    this.#lease = createLease(settings.leaseMs, (ping) => void exec.stdin.write(ping), {
      diagnose: settings.diagnose,
      dead: (error) => void this.#end(error),
    })
    exec.exit.then(
      (status) => this.#end(new Error(`the helper ended with ${JSON.stringify(status)}`)),
      (error) => this.#end(error),
    )
  }

  get ended(): AbortSignal {
    return this.#life.signal
  }

  /** True: this helper is not to be given to a new session. */
  get ending(): boolean {
    return this.#ending
  }

  get channels(): number {
    return this.#channels.size
  }

  /** Payload bytes since the start, both ways. */
  get bytes(): number {
    return this.#channels.bytes
  }

  get isDirect(): boolean {
    return this.#direct !== undefined
  }

  spawn(spec: GuestSpawn, sink: OutputSink, signal: AbortSignal): Promise<GuestExec> {
    const options = { tty: spec.tty !== undefined, killTree: spec.killTree, what: spec.program }
    return this.#run(FRAME_TYPE.SPAWN, () => spawnRequest(spec), options, sink, signal)
  }

  sftp(sftp: SftpSpawn, sink: OutputSink, signal: AbortSignal): Promise<GuestExec> {
    const start = (token: Buffer | undefined) => {
      const options = { tty: false, killTree: true, mayHaveLine: token !== undefined, what: 'sftp' }
      return this.#run(FRAME_TYPE.SFTP, () => sftpRequest(sftp, token), options, sink, signal)
    }
    return startLined(this.#mayHaveLine ? this.#door : undefined, start, sink, signal)
  }

  #run(
    type: number,
    payload: () => Buffer,
    options: ProgramOptions,
    sink: OutputSink,
    signal: AbortSignal,
  ): Promise<HelperProgram> {
    return this.#ask(type, payload, signal, (link) => {
      const program = new HelperProgram(link, options, sink)
      return { channel: program, opening: program.opening, cancel: () => program.close() }
    })
  }

  connect(address: GuestAddress, signal: AbortSignal): Promise<InsideEnd> {
    const what = address.kind === 'tcp' ? `${address.host} port ${address.port}` : address.path
    return this.#ask<InsideEnd>(
      FRAME_TYPE.CONNECT,
      () => connectRequest(address),
      signal,
      (link) => {
        const socket = new Socket(link, what)
        return { channel: socket, opening: socket.opening, cancel: () => socket.destroy() }
      },
    )
  }

  listen(bind: GuestBind, onAccept: (accepted: GuestAccepted) => void, signal: AbortSignal): Promise<GuestListener> {
    const what = bind.kind === 'tcp' ? `${bind.host} port ${bind.port}` : bind.path
    const taken = (accepted: GuestAccepted) => {
      try {
        onAccept(accepted)
      } catch (error) {
        // Ours, not the helper's: that connection is lost, and nothing else.
        this.#settings.log.warn({ reason: messageOf(error) }, 'an accepted connection was not taken')
        accepted.end.destroy()
      }
    }
    return this.#ask<GuestListener>(
      FRAME_TYPE.LISTEN,
      () => listenRequest(bind),
      signal,
      (link) => {
        const listener = new HelperListener(link, what, taken)
        return { channel: listener, opening: listener.opening, cancel: () => void listener.close() }
      },
    )
  }

  async #ask<T>(
    type: number,
    payload: () => Buffer,
    signal: AbortSignal,
    make: (link: ChannelLink) => { channel: GuestChannel; opening: Opening<T>; cancel: () => void },
  ): Promise<T> {
    signal.throwIfAborted()
    if (this.#life.signal.aborted) throw this.#life.signal.reason
    if (this.#ending) throw failed('the guest helper has ended')
    if (this.#channels.size >= MAX_CHANNELS) throw new GuestRefusal('resources', 'EAGAIN', 'too many channels')
    const id = this.#channels.freeId()
    const frames = requestFrames(type, id, payload())
    if (frames === undefined) throw new GuestRefusal('exec', 'E2BIG', 'request')
    const { channel, opening, cancel } = make({ id, output: this.#output })
    this.#channels.set(id, channel)
    this.onUse()
    const giveUp = (reason: unknown) => {
      opening.reject(reason)
      this.#guarded(cancel)
    }
    const timer = setTimeout(() => giveUp(failed('the guest helper does not answer')), ANSWER_MS)
    timer.unref()
    const remove = onAbort(signal, giveUp)
    try {
      this.#guarded(() => this.#output.control(frames))
      return await opening.settled
    } finally {
      clearTimeout(timer)
      remove()
    }
  }

  /** Bytes that came on the exec; a violation ends the helper. */
  feed(chunk: Buffer): void {
    this.#hear(this.#parser, chunk)
  }

  #hear(parser: FrameParser, chunk: Buffer): void {
    if (this.#judging || this.#life.signal.aborted) return
    this.#lease.heard()
    this.#guarded(() => parser.feed(chunk))
  }

  /** Move the frames to a unix socket of ours. Undefined: done; a text: why everything stays on the exec. */
  async switchTo(path: string, door: Door): Promise<string | undefined> {
    if (this.#ending) return 'the helper has ended'
    if (this.#direct !== undefined || this.#onSwitched !== undefined) return 'switched already'
    const expected = door.expect()
    // Nothing was sent: the helper stays where it is.
    if (expected === undefined) return 'the door is closed'
    const { promise: switched, resolve } = deferred<number>()
    this.#onSwitched = resolve
    const { ended } = this
    try {
      const answer = await switchOver({
        ...{ path, expected, switched, output: this.#output, exec: this.#exec.stdin, ended },
        answerMs: this.#settings.switchMs ?? SWITCH_ANSWER_MS,
        isSilent: () => this.#lease.isSilent,
      })
      if (typeof answer === 'number') return errnoName(answer)
      this.#goDirect(answer)
      this.#door = door
      return undefined
    } catch (error) {
      void this.#end(error)
      return messageOf(error)
    }
  }

  #goDirect({ socket, listen }: DirectLine): void {
    // From here on the exec is watched for its end, and what still comes there are answers to earlier PINGs.
    this.#parser.redirect({ ...OUT_OF_TURN, pong: (opaque) => this.#lease.first.pong(opaque) })
    this.#direct = socket
    socket.on('close', () => void this.#end(new Error('the direct data path was closed')))
    this.#guarded(() => this.#output.open(socket))
    const pinging = this.#lease.moveTo((ping) => this.#output.control(ping))
    const pong = (opaque: bigint) => pinging.pong(opaque)
    const parser = new FrameParser({ ...this.#frames, pong, switched: OUT_OF_TURN.switched })
    listen((chunk) => {
      this.#hear(parser, chunk)
      return true
    })
  }

  /** No new channels; the helper leaves when the last is gone. */
  shutdown(): void {
    if (this.#ending) return
    this.#ending = true
    this.#guarded(() => this.#output.control(frame(FRAME_TYPE.SHUTDOWN, 0)))
    setTimeout(() => this.close(), this.#settings.graceMs).unref()
  }

  /** Everything of it ends now, inside too. Idempotent. */
  close(): void {
    this.#finish(failed('the guest helper was closed'))
  }

  #guarded(act: () => void): void {
    try {
      act()
    } catch (error) {
      void this.#end(error)
    }
  }

  readonly #ownFrames: ConnectionFrames = {
    hello: () => {
      throw new ProtocolError('a second HELLO')
    },
    pong: (opaque) => this.#lease.first.pong(opaque),
    switched: (errno) => {
      const answer = this.#onSwitched
      if (answer === undefined) throw new ProtocolError('SWITCHED without SWITCH')
      this.#onSwitched = undefined
      answer(errno)
    },
  }

  async #end(cause: unknown): Promise<void> {
    if (this.#judging || this.#life.signal.aborted) return
    this.#judging = true
    this.#ending = true
    if (cause instanceof ProtocolError) {
      this.#settings.log.warn({ reason: cause.message }, 'guest helper broke the protocol')
      return this.#finish(failed('the guest helper broke its protocol and was ended', cause))
    }
    if (cause instanceof HatchwayError) return this.#finish(cause)
    const found = this.#channels.size === 0 ? undefined : await this.#settings.diagnose().catch(() => undefined)
    this.#finish(found instanceof HatchwayError ? found : failed('the guest helper ended', cause))
  }

  #finish(error: HatchwayError): void {
    if (this.#life.signal.aborted) return
    this.#ending = true
    this.#lease.stop()
    this.#output.close()
    this.#direct?.destroy()
    void this.#door?.close()
    this.#exec.close()
    this.#life.abort(error)
    this.#channels.lost(error)
  }
}

function failed(message: string, cause?: unknown): HatchwayError {
  return new HatchwayError('GUEST_FAILED', message, { cause })
}
