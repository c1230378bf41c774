/** The gateway's end of one helper: HELLO to the end, the table of channels, the lease. */
import type { Duplex } from 'node:stream'
import type { Exec, OutputSink } from '../engine/engine.ts'
import { HatchwayError } from '../errors.ts'
import { limited } from '../limit.ts'
import type { Channel, Opening } from './channel.ts'
import type { DirectLine } from './direct.ts'
import { START_CREDIT } from './flow.ts'
import type { Hello, HelperFrames } from './frames.ts'
import { FrameParser, frame, OUT_OF_TURN, ProtocolError, TYPE } from './frames.ts'
import type {
  Guest,
  GuestAccepted,
  GuestAddress,
  GuestBind,
  GuestExec,
  GuestListener,
  GuestSpawn,
  SftpOptions,
} from './guest.ts'
import { GuestRefusal } from './guest.ts'
import { createLease } from './lease.ts'
import { errnoName } from './linux.ts'
import { Listener } from './listener.ts'
import { Output } from './output.ts'
import type { GuestLog } from './pool.ts'
import { Program } from './program.ts'
import { connectRequest, initFrame, listenRequest, requestFrames, sftpRequest, spawnRequest } from './requests.ts'
import { Socket } from './socket.ts'
import { switchOver } from './switch.ts'

const MAX_CHANNELS = 1024
/** Worth a data path of its own. */
const BULK = 4 * 1024 * 1024
const HELPERS_ID = 0x80000000
/** A request is answered by then, or its channel is closed. A connect inside may try several addresses. */
const ANSWER_LIMIT = 150_000

export interface ConnectionSettings {
  readonly uid: number
  readonly gid: number
  readonly leaseMs: number
  readonly graceMs: number
  readonly helloMs: number
  readonly log: GuestLog
  /** Why a helper that went or fell silent did so; "paused" while its container is, undefined when it runs on. */
  diagnose(): Promise<HatchwayError | 'paused' | undefined>
}

export class GuestConnection implements Guest {
  readonly identity: { readonly uid: number; readonly gid: number }
  readonly hello: Hello
  /** Called when the last channel has gone. */
  onIdle: () => void = () => {}
  /** Called whenever something was asked for: a program, a socket, a listener. */
  onUse: () => void = () => {}
  /** Called once, when much has been moved. */
  onBulk: () => void = () => {}
  readonly #exec: Exec
  readonly #settings: ConnectionSettings
  readonly #output: Output
  readonly #channels = new Map<number, Channel>()
  readonly #life = new AbortController()
  readonly #lease: ReturnType<typeof createLease>
  readonly #parser: FrameParser
  #ending = false
  /** Its end is being explained; what it still says is not heard. */
  #judging = false
  #accepted = 0
  #nextId = 0
  #isBulky = false
  #bytes = 0
  #onSwitched: ((errno: number) => void) | undefined
  #direct: Duplex | undefined

  constructor(exec: Exec, hello: Hello, settings: ConnectionSettings) {
    this.identity = { uid: hello.uid, gid: hello.gid }
    this.hello = hello
    this.#exec = exec
    this.#settings = settings
    this.#output = new Output(exec.stdin)
    this.#parser = new FrameParser(this.#frames)
    this.#output.control(initFrame({ ...settings, maxChannels: MAX_CHANNELS }))
    this.#lease = createLease(settings.leaseMs, exec.stdin, {
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

  /** Not to be given to a new session. */
  get ending(): boolean {
    return this.#ending
  }

  get channels(): number {
    return this.#channels.size
  }

  /** Payload bytes since the start, both ways. */
  get bytes(): number {
    return this.#bytes + this.#output.bytes
  }

  get isDirect(): boolean {
    return this.#direct !== undefined
  }

  spawn(spec: GuestSpawn, sink: OutputSink, signal: AbortSignal): Promise<GuestExec> {
    const options = { tty: spec.tty !== undefined, killTree: spec.killTree, what: spec.program }
    return this.#ask(
      TYPE.SPAWN,
      () => spawnRequest(spec, START_CREDIT),
      signal,
      (link) => {
        const program = new Program(link, options, sink)
        return { channel: program, opening: program.opening, cancel: () => program.close() }
      },
    )
  }

  sftp(sftp: SftpOptions, sink: OutputSink, signal: AbortSignal): Promise<GuestExec> {
    const options = { tty: false, killTree: true, what: 'sftp' }
    return this.#ask(
      TYPE.SFTP,
      () => sftpRequest(sftp, START_CREDIT),
      signal,
      (link) => {
        const program = new Program(link, options, sink)
        return { channel: program, opening: program.opening, cancel: () => program.close() }
      },
    )
  }

  connect(address: GuestAddress, signal: AbortSignal): Promise<Duplex> {
    const what = address.kind === 'tcp' ? `${address.host} port ${address.port}` : address.path
    return this.#ask<Duplex>(
      TYPE.CONNECT,
      () => connectRequest(address, START_CREDIT),
      signal,
      (link) => {
        const socket = new Socket(link, what)
        return { channel: socket, opening: socket.opening, cancel: () => void socket.destroy() }
      },
    )
  }

  listen(bind: GuestBind, onAccept: (accepted: GuestAccepted) => void, signal: AbortSignal): Promise<GuestListener> {
    const what = bind.kind === 'tcp' ? `${bind.host} port ${bind.port}` : bind.path
    return this.#ask<GuestListener>(
      TYPE.LISTEN,
      () => listenRequest(bind),
      signal,
      (link) => {
        const listener = new Listener(link, what, onAccept)
        return { channel: listener, opening: listener.opening, cancel: () => void listener.close() }
      },
    )
  }

  async #ask<T>(
    type: number,
    payload: () => Buffer,
    signal: AbortSignal,
    make: (link: { id: number; output: Output }) => { channel: Channel; opening: Opening<T>; cancel: () => void },
  ): Promise<T> {
    signal.throwIfAborted()
    if (this.#life.signal.aborted) throw this.#life.signal.reason
    if (this.#ending) throw failed('the guest helper has ended')
    if (this.#channels.size >= MAX_CHANNELS) throw new GuestRefusal('resources', 'EAGAIN', 'too many channels')
    const id = this.#freeId()
    const frames = requestFrames(type, id, payload())
    if (frames === undefined) throw new GuestRefusal('exec', 'E2BIG', 'request')
    const { channel, opening, cancel } = make({ id, output: this.#output })
    this.#channels.set(id, channel)
    this.onUse()
    const limit = limited(ANSWER_LIMIT, signal)
    const aborted = () => {
      opening.reject(limit.signal.reason)
      this.#guarded(cancel)
    }
    limit.signal.addEventListener('abort', aborted, { once: true })
    try {
      this.#guarded(() => this.#output.control(frames))
      return await opening.settled
    } finally {
      limit.release()
    }
  }

  /** Bytes that came on the exec; a violation ends the helper. */
  feed(chunk: Buffer): void {
    if (!this.#judging && !this.#life.signal.aborted) this.#guarded(() => this.#parser.feed(chunk))
  }

  /** Move the frames to a unix socket of ours. Undefined: done; a text: why everything stays on the exec. */
  async switchTo(
    path: string,
    token: Buffer,
    incoming: (signal: AbortSignal) => Promise<DirectLine>,
  ): Promise<string | undefined> {
    if (this.#ending) return 'the helper has ended'
    if (this.#direct !== undefined || this.#onSwitched !== undefined) return 'switched already'
    const switched = new Promise<number>((resolve) => {
      this.#onSwitched = resolve
    })
    const { ended } = this
    const plan = { path, token, incoming, switched, output: this.#output, exec: this.#exec.stdin, ended }
    try {
      const answer = await switchOver(plan)
      if (typeof answer === 'number') return errnoName(answer)
      this.#goDirect(answer)
      return undefined
    } catch (error) {
      void this.#end(error)
      return error instanceof Error ? error.message : String(error)
    }
  }

  #goDirect({ socket, listen }: DirectLine): void {
    const parser = new FrameParser({ ...this.#frames, pong: OUT_OF_TURN.pong, switched: OUT_OF_TURN.switched })
    // From here on the exec is the control line: PONG and nothing else.
    this.#parser.redirect({ ...OUT_OF_TURN, pong: (opaque) => this.#lease.pong(opaque) })
    this.#direct = socket
    socket.on('close', () => void this.#end(new Error('the direct data path was closed')))
    this.#guarded(() => this.#output.open(socket))
    listen((chunk) => {
      if (!this.#judging && !this.#life.signal.aborted) this.#guarded(() => parser.feed(chunk))
    })
  }

  /** No new channels; the helper leaves when the last is gone. */
  shutdown(): void {
    if (this.#ending) return
    this.#ending = true
    this.#guarded(() => this.#output.control(frame(TYPE.SHUTDOWN, 0)))
    setTimeout(() => this.close(), this.#settings.graceMs).unref()
  }

  /** Everything of it ends now, inside too. Idempotent. */
  close(): void {
    this.#finish(failed('the guest helper was closed'))
  }

  #freeId(): number {
    do this.#nextId = this.#nextId >= HELPERS_ID - 1 ? 1 : this.#nextId + 1
    while (this.#channels.has(this.#nextId))
    return this.#nextId
  }

  #guarded(act: () => void): void {
    try {
      act()
    } catch (error) {
      void this.#end(error)
    }
  }

  readonly #frames: HelperFrames = {
    hello: () => {
      throw new ProtocolError('a second HELLO')
    },
    pong: (opaque) => this.#lease.pong(opaque),
    switched: (errno) => {
      const answer = this.#onSwitched
      if (answer === undefined) throw new ProtocolError('SWITCHED without SWITCH')
      this.#onSwitched = undefined
      answer(errno)
    },
    opened: (id, value, credit) => this.#channel(id).opened(value, credit),
    fail: (id, errno, stage) => {
      this.#channel(id).refused({ errno, stage })
      this.#remove(id)
    },
    accept: (id, listener, credit, port, address) => {
      const from = this.#channel(listener)
      if (!(from instanceof Listener)) throw new ProtocolError('ACCEPT of no listener')
      if (this.#channels.has(id)) throw new ProtocolError(`ACCEPT on channel ${id}, which is open`)
      if (this.#accepted >= MAX_CHANNELS) throw new ProtocolError('too many accepted channels')
      this.#accepted += 1
      // In the table first: the stream's user may close it at once.
      const placeholder = from.accepts({ id, output: this.#output }, credit, port, address)
      this.#channels.set(id, placeholder)
    },
    data: (id, fd, piece) => {
      this.#bytes += piece.length
      this.#noticeBulk()
      this.#channel(id).data(fd, piece)
    },
    eof: (id, fd) => this.#channel(id).eof(fd),
    window: (id, bytes) => {
      this.#noticeBulk()
      this.#channel(id).window(bytes)
    },
    exit: (id, kind, value, core) => this.#channel(id).exited(kind, value, core),
    unread: (id) => this.#channel(id).unread(),
    closed: (id) => {
      this.#channel(id).channelClosed()
      this.#remove(id)
    },
  }

  /** Every id in a helper's frame is one of the table, or the helper lies: CLOSED is always a channel's last frame. */
  #channel(id: number): Channel {
    const channel = this.#channels.get(id)
    if (channel === undefined) throw new ProtocolError(`channel ${id} is not open`)
    return channel
  }

  #noticeBulk(): void {
    if (this.#isBulky || this.bytes < BULK) return
    this.#isBulky = true
    this.onBulk()
  }

  #remove(id: number): void {
    this.#channels.delete(id)
    if (id >= HELPERS_ID) this.#accepted -= 1
    if (this.#channels.size === 0) this.onIdle()
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
    this.#exec.close()
    this.#life.abort(error)
    for (const channel of this.#channels.values()) channel.lost(error)
    this.#channels.clear()
  }
}

function failed(message: string, cause?: unknown): HatchwayError {
  return new HatchwayError('GUEST_FAILED', message, { cause })
}
