/** A "session" channel, RFC 4254 §6: collects what is asked before the start, then hands out an SshSession. */
import type { ExitStatus } from '../base/program.ts'
import { textOf } from '../bytes/byte-text.ts'
import type { Channel, ChannelOwner } from './channel.ts'
import type { SshAction } from './connection.ts'
import { fields, MalformedPacket, type PacketReader } from './packets.ts'
import type { PtyRequest, SessionEvents, SessionStart, SshSession, X11Request } from './session.ts'
import { SessionInput } from './session-input.ts'

/** OpenSSH's client sends what the user exports; nobody needs more than that. */
const MAX_ENV = 256
const MAX_ENV_BYTES = 512 * 1024
/** A terminal's type, a subsystem, an authentication protocol: nobody has longer ones. */
const MAX_NAME_BYTES = 1024
const MAX_SIGNAL_BYTES = 32
/** There are less than 256 opcodes of five bytes (RFC 4254 §8). */
const MAX_MODES_BYTES = 4096
/** One for all: an Error of its own at the end of every session costs more than the rest of its end. */
const GONE = new Error('the session is closed')
/** Events before the application listens: one of each signal, and the last of the others. */
const MAX_EARLY = 32
/** RFC 4254 §6.10; sshd sends SIG@openssh.com for every other (session.c sig2name). */
const SIGNALS = ['ABRT', 'ALRM', 'FPE', 'HUP', 'ILL', 'INT', 'KILL', 'PIPE', 'QUIT', 'SEGV', 'TERM', 'USR1', 'USR2']

export interface SessionOptions {
  readonly allow: (action: SshAction) => Promise<boolean> | boolean
  readonly session: (session: SshSession) => void
  /** SshSession.earlier, of a session that starts now. */
  readonly earlier: () => Promise<void> | undefined
  /** The channel's type is known: "session:shell", "session:command", "session:subsystem:sftp" (session.c). */
  readonly started: (type: string) => void
  readonly fault: (error: unknown) => void
  /** eow@openssh.com may be sent. */
  readonly clientKnowsEow: boolean
}

export class SessionChannel implements ChannelOwner {
  readonly #channel: Channel
  readonly #options: SessionOptions
  readonly #abort = new AbortController()
  readonly #input: SessionInput
  readonly #env = new Map<string, string>()
  #envBytes = 0
  #pty: PtyRequest | undefined
  #x11: X11Request | undefined
  #agentForwarding = false
  #started = false
  #answerStart: ((accepted: boolean) => void) | undefined
  #events: SessionEvents | undefined
  readonly #early = new Map<string, (events: SessionEvents) => boolean | undefined>()
  #stoppedReading = false
  #exit: Promise<void> | undefined

  constructor(channel: Channel, options: SessionOptions) {
    this.#channel = channel
    this.#options = options
    this.#input = new SessionInput(channel)
    channel.own(this)
  }

  // The channel's side.

  onData(bytes: Buffer): boolean {
    return this.#input.onData(bytes)
  }

  onEof(): void {
    this.#input.onEof()
  }

  onDrained(): void {
    this.#tell((events) => {
      events.drain?.()
      return true
    })
  }

  onClosed(forced: boolean): void {
    this.#abort.abort(GONE)
    // Input that was sent in full may still be read to its end, by a program.
    if (forced || !this.#channel.eofReceived || !this.#started) this.#input.drop()
  }

  onRequest(type: string, data: PacketReader, answer: (accepted: boolean) => void): void {
    let result: boolean | Promise<boolean> | undefined
    try {
      result = this.#handle(type, data, answer)
    } catch (error) {
      if (error instanceof MalformedPacket) throw error
      this.#options.fault(error)
      result = false
    }
    if (result === undefined) return
    if (typeof result === 'boolean') {
      answer(result)
      return
    }
    result.then(answer, (error: unknown) => {
      this.#options.fault(error)
      answer(false)
    })
  }

  /** The answer; undefined: given by accept() or reject(). */
  #handle(type: string, data: PacketReader, answer: (ok: boolean) => void): boolean | Promise<boolean> | undefined {
    switch (type) {
      // At any time.
      case 'window-change': {
        const size = { cols: data.u32(), rows: data.u32(), width: data.u32(), height: data.u32() }
        return this.#notify(type, (events) => {
          events.resize?.(size)
          return true
        })
      }
      case 'signal': {
        const name = data.text()
        if (name.length > MAX_SIGNAL_BYTES) return false
        return this.#notify(`signal ${name}`, (events) => events.signal?.(name))
      }
      case 'break': {
        const milliseconds = data.u32()
        return this.#notify(type, (events) => events.break?.(milliseconds))
      }
      case 'eow@openssh.com':
        this.#channel.mute()
        return this.#notify(type, (events) => {
          events.outputClosed?.()
          return true
        })
    }
    // Only before the program starts: session.c session_input_channel_req().
    if (this.#started) return false
    switch (type) {
      case 'shell':
        return this.#begin({ kind: 'shell' }, answer)
      case 'exec':
        return this.#command(Buffer.from(data.string()), answer)
      case 'subsystem': {
        const name = data.text()
        return name.length <= MAX_NAME_BYTES ? this.#begin({ kind: 'subsystem', name }, answer) : false
      }
      case 'pty-req':
        return this.#pseudoTerminal(data)
      case 'env':
        return this.#variable(textOf(data.string()), textOf(data.string()))
      case 'auth-agent-req@openssh.com':
        return this.#allowed({ kind: 'agent' }, () => {
          this.#agentForwarding = true
        })
      case 'x11-req':
        return this.#x11Request(data)
    }
    return false
  }

  #command(command: Buffer, answer: (accepted: boolean) => void): false | undefined {
    return this.#channel.hold(command.length) ? this.#begin({ kind: 'exec', command }, answer) : false
  }

  #pseudoTerminal(data: PacketReader): boolean | Promise<boolean> {
    if (this.#pty) return false
    const term = textOf(data.string())
    const [cols, rows, width, height] = [data.u32(), data.u32(), data.u32(), data.u32()]
    const modes = Buffer.from(data.string())
    if (term.length > MAX_NAME_BYTES || modes.length > MAX_MODES_BYTES) return false
    return this.#allowed({ kind: 'pty' }, () => {
      this.#pty = { term, cols, rows, width, height, modes }
    })
  }

  #variable(name: string, value: string): boolean | Promise<boolean> {
    if (name === '' || /[=\0]/.test(name) || value.includes('\0')) return false
    this.#envBytes += name.length + value.length
    if (this.#env.size >= MAX_ENV || this.#envBytes > MAX_ENV_BYTES) return false
    if (!this.#channel.hold(name.length + value.length)) return false
    return this.#allowed({ kind: 'env', name }, () => this.#env.set(name, value))
  }

  #x11Request(data: PacketReader): boolean | Promise<boolean> {
    const singleConnection = data.bool()
    const [protocol, cookie, screen] = [data.text(), data.text(), data.u32()]
    // It ends up as an argument of xauth: only what can be one (session.c xauth_valid_string).
    if (![protocol, cookie].every((text) => text.length <= MAX_NAME_BYTES && /^[A-Za-z0-9.:/\-_]+$/.test(text)))
      return false
    return this.#allowed({ kind: 'x11' }, () => {
      this.#x11 = { singleConnection, protocol, cookie, screen }
    })
  }

  #allowed(action: SshAction, then: () => void): boolean | Promise<boolean> {
    const verdict = this.#options.allow(action)
    const apply = (allowed: boolean) => {
      if (allowed) then()
      return allowed
    }
    return typeof verdict === 'boolean' ? apply(verdict) : verdict.then(apply)
  }

  #begin(start: SessionStart, answer: (accepted: boolean) => void): undefined {
    this.#started = true
    this.#answerStart = answer
    this.#options.started(typeOf(start))
    try {
      const done: unknown = this.#options.session(this.#session(start))
      // An async function is a `() => void` to the compiler.
      if (done instanceof Promise) done.catch((error: unknown) => this.#failed(error))
    } catch (error) {
      this.#failed(error)
    }
  }

  #session(start: SessionStart): SshSession {
    const earlier = this.#options.earlier()
    return {
      start,
      ...(earlier && { earlier }),
      ...(this.#pty && { pty: this.#pty }),
      ...(this.#x11 && { x11: this.#x11 }),
      agentForwarding: this.#agentForwarding,
      env: this.#env,
      stdin: this.#input.stream,
      pour: (sink) => this.#input.pour(sink),
      closed: this.#abort.signal,
      accept: () => this.#answerStart?.(true),
      reject: () => this.#reject(),
      listen: (events) => this.#listen(events),
      write: (fd, chunk) => this.#channel.write(fd, chunk),
      stopReading: () => this.#stopReading(),
      exit: (status) => {
        this.#exit ??= this.#leave(status)
        return this.#exit
      },
    }
  }

  #failed(error: unknown): void {
    this.#options.fault(error)
    this.#reject()
  }

  #reject(): void {
    this.#answerStart?.(false)
    this.#channel.close()
  }

  #listen(events: SessionEvents | undefined): void {
    this.#events = events
    if (!events) return
    const early = [...this.#early.values()]
    this.#early.clear()
    for (const event of early) this.#tell(event)
  }

  #stopReading(): void {
    if (this.#stoppedReading) return
    this.#stoppedReading = true
    if (this.#options.clientKnowsEow) this.#channel.sendRequest('eow@openssh.com', Buffer.alloc(0))
    this.#input.drop()
  }

  async #leave(status: ExitStatus): Promise<void> {
    this.#answerStart?.(true)
    await new Promise<void>((resolve) => this.#channel.whenFlushed(resolve))
    this.#channel.sendEof()
    if ('signal' in status) {
      const name = status.signal.toUpperCase().replace(/^SIG/, '')
      const known = SIGNALS.includes(name) ? name : 'SIG@openssh.com'
      this.#channel.sendRequest('exit-signal', fields(known, status.coreDumped, status.message ?? '', ''))
    } else {
      // A killed program's code is null in some engines' words.
      this.#channel.sendRequest('exit-status', fields(Number.isInteger(status.code) ? status.code : 255))
    }
    this.#channel.close()
    this.#input.drop()
  }

  /** Kept where nobody listens yet: a later one of the same kind counts, and a signal is pending or it is not. */
  #notify(kind: string, event: (events: SessionEvents) => boolean | undefined): boolean {
    if (this.#events) return this.#tell(event)
    this.#early.delete(kind)
    if (this.#early.size >= MAX_EARLY && kind.startsWith('signal ')) return false
    this.#early.set(kind, event)
    return true
  }

  #tell(event: (events: SessionEvents) => boolean | undefined): boolean {
    if (!this.#events) return false
    try {
      return event(this.#events) === true
    } catch (error) {
      this.#options.fault(error)
      return false
    }
  }
}

function typeOf(start: SessionStart): string {
  if (start.kind === 'subsystem') return `session:subsystem:${start.name}`
  return start.kind === 'exec' ? 'session:command' : 'session:shell'
}
