/**
 * The connection protocol, RFC 4254, of one authenticated client: the table of channels and which of them gets which
 * message.
 */
import { inWords } from '../base/duration.ts'
import { clientText } from '../base/printable.ts'
import { streamOf } from '../bytes/end-stream.ts'
import { type End, relay } from '../bytes/relay.ts'
import type { Budget } from './budget.ts'
import { Channel, START_WINDOW } from './channel.ts'
import { ChannelEnd } from './channel-end.ts'
import { type ChannelTimeout, ChannelTimeouts } from './channel-timeouts.ts'
import { MAX_DATA, type RemoteEnd } from './channel-writer.ts'
import type { ConnectionHandlers, OpenFailure } from './connection.ts'
import { openDirect } from './direct.ts'
import { GlobalRequests } from './global-requests.ts'
import type { HostKeys } from './hostkeys.ts'
import { DisconnectReason, MalformedPacket, Message, PacketReader, packet } from './packets.ts'
import { SessionChannel } from './session-channel.ts'
import type { Transport } from './transport.ts'

/** A client's channels, sessions and forwards together; sshd has no such limit but file descriptors. */
const MAX_CHANNELS = 1024
/** Of the request for one: the names of a host or a path. It waits for a connection inside, and with others. */
const MAX_OPEN_BYTES = 8 * 1024
const OPEN_TIMEOUT_MS = 60_000

/** RFC 4254 §5.1. */
const OPEN_REASON = { prohibited: 1, 'connect-failed': 2, 'unknown-type': 3, 'resource-shortage': 4 } as const

/** Where sshd's names for ChannelTimeout are not those of the protocol. */
const TYPES: Readonly<Record<string, string>> = {
  x11: 'x11-connection',
  'auth-agent@openssh.com': 'agent-connection',
}

export interface ConnectionLayerOptions {
  readonly transport: Transport
  readonly hostKeys: HostKeys
  readonly budget: Budget
  readonly maxSessions: number
  readonly channelTimeout: readonly ChannelTimeout[]
  readonly unusedConnectionTimeout: number
  readonly expired: (type: string, milliseconds: number) => void
  readonly fault: (error: unknown) => void
}

interface PendingOpen {
  readonly confirmed: (remote: RemoteEnd) => void
  readonly failed: (error: Error) => void
}

export class ConnectionLayer {
  readonly #transport: Transport
  readonly #options: ConnectionLayerOptions
  readonly #closed: AbortSignal
  readonly #channels = new Map<number, Channel>()
  readonly #opening = new Map<number, PendingOpen>()
  readonly #requests: GlobalRequests
  readonly #timeouts: ChannelTimeouts
  #unused: NodeJS.Timeout | undefined
  #handlers: ConnectionHandlers = { allow: () => false, session: (session) => session.reject() }
  #sessions = 0
  /** Direct channels whose target is not yet connected. */
  #connecting = 0
  #nextId = 0

  constructor(options: ConnectionLayerOptions, closed: AbortSignal) {
    this.#options = options
    this.#transport = options.transport
    this.#closed = closed
    this.#requests = new GlobalRequests({ ...options, handlers: () => this.#handlers })
    this.#timeouts = new ChannelTimeouts(options.channelTimeout, options.expired)
    this.#checkUse()
  }

  use(handlers: ConnectionHandlers): void {
    this.#handlers = handlers
  }

  packet(type: number, payload: Buffer): void {
    const reader = new PacketReader(payload, 1)
    switch (type) {
      case Message.GLOBAL_REQUEST:
        this.#requests.request(reader.text(), reader.bool(), reader)
        return
      case Message.REQUEST_SUCCESS:
      case Message.REQUEST_FAILURE:
        return // To our keepalive: any answer is life.
      case Message.CHANNEL_OPEN:
        this.#open(reader)
        return
      case Message.CHANNEL_OPEN_CONFIRMATION:
      case Message.CHANNEL_OPEN_FAILURE:
        this.#opened(type, reader)
        return
      case Message.USERAUTH_REQUEST:
        return // RFC 4252 §5.1: ignored after success.
    }
    if (type < Message.CHANNEL_WINDOW_ADJUST || type > Message.CHANNEL_FAILURE) {
      this.#transport.unimplemented()
      return
    }
    // A channel may be gone already for what was under way to it.
    const channel = this.#channels.get(reader.u32())
    if (channel) this.#channelPacket(type, channel, reader)
  }

  /** Channels towards the client. */
  open(type: string, data: Buffer): Promise<End> {
    return new Promise((resolve, reject) => {
      if (this.#closed.aborted || this.#transport.closed) return reject(new Error('the connection is gone'))
      if (!this.#room()) return reject(new Error('too many channels'))
      const id = this.#newId()
      const timer = setTimeout(() => pending.failed(new Error('the client does not answer')), OPEN_TIMEOUT_MS)
      const done = () => {
        clearTimeout(timer)
        this.#opening.delete(id)
        this.#checkUse()
      }
      const pending: PendingOpen = {
        // At once, not after an await: data may follow the confirmation in the same read.
        confirmed: (remote) => {
          const channel = this.#add(id, TYPES[type] ?? type, remote)
          resolve(new ChannelEnd(channel, type === 'forwarded-tcpip'))
          done()
        },
        failed: (error) => {
          this.#options.budget.give(START_WINDOW)
          done()
          reject(error)
        },
      }
      this.#opening.set(id, pending)
      this.#checkUse()
      this.#transport.send(packet(Message.CHANNEL_OPEN, type, id, START_WINDOW, MAX_DATA, { raw: data }))
    })
  }

  /** The connection is gone. */
  end(): void {
    for (const { failed } of [...this.#opening.values()]) failed(new Error('the connection is gone'))
    for (const channel of [...this.#channels.values()]) channel.end()
    this.#requests.end()
    clearTimeout(this.#unused)
  }

  #channelPacket(type: number, channel: Channel, reader: PacketReader): void {
    switch (type) {
      case Message.CHANNEL_WINDOW_ADJUST:
        channel.adjustWindow(reader.u32())
        return
      case Message.CHANNEL_DATA:
        this.#orDisconnect(channel.receive(reader.string()), 'peer ignored channel window')
        return
      case Message.CHANNEL_EXTENDED_DATA:
        reader.u32()
        this.#orDisconnect(channel.receiveExtended(reader.string().length), 'peer ignored channel window')
        return
      case Message.CHANNEL_EOF:
        channel.receiveEof()
        return
      case Message.CHANNEL_CLOSE:
        channel.receiveClose()
        return
      case Message.CHANNEL_REQUEST:
        this.#orDisconnect(channel.receiveRequest(reader.text(), reader.bool(), reader), 'too many requests')
        return
    }
    // SUCCESS and FAILURE: we ask for no replies.
  }

  #orDisconnect(fine: boolean, message: string): void {
    if (!fine) this.#transport.disconnect(DisconnectReason.PROTOCOL_ERROR, message)
  }

  #open(reader: PacketReader): void {
    const type = reader.text()
    const remote = { id: reader.u32(), window: reader.u32(), packetSize: reader.u32() }
    const answerFailure = ({ reason, message }: OpenFailure) => {
      this.#transport.send(packet(Message.CHANNEL_OPEN_FAILURE, remote.id, OPEN_REASON[reason], message, ''))
    }
    if (reader.size > MAX_OPEN_BYTES || !this.#room()) {
      answerFailure({ reason: 'resource-shortage', message: 'too many channels' })
      return
    }
    const refuse = (failure: OpenFailure) => {
      this.#options.budget.give(START_WINDOW)
      answerFailure(failure)
    }
    const confirm = () => {
      const id = this.#newId()
      const channel = this.#add(id, type, remote)
      this.#transport.send(packet(Message.CHANNEL_OPEN_CONFIRMATION, remote.id, id, START_WINDOW, MAX_DATA))
      return channel
    }
    if (type === 'session') {
      this.#openSession(confirm, refuse)
      return
    }
    this.#connecting++
    this.#checkUse()
    openDirect(type, reader, this.#handlers, this.#requests.answered(), this.#closed)
      .then(
        (result) => {
          if ('reason' in result) refuse(result)
          else if (this.#transport.closed) {
            this.#options.budget.give(START_WINDOW)
            if (typeof result !== 'function') result.destroy()
          } else if (typeof result === 'function') result(streamOf(new ChannelEnd(confirm())))
          else relay(new ChannelEnd(confirm()), result)
        },
        (error: unknown) => {
          refuse({ reason: 'connect-failed', message: 'open failed' })
          if (error instanceof MalformedPacket) return this.#orDisconnect(false, error.message)
          this.#options.fault(error)
        },
      )
      .finally(() => {
        this.#connecting--
        this.#checkUse()
      })
  }

  #openSession(confirm: () => Channel, refuse: (failure: OpenFailure) => void): void {
    if (this.#requests.noMoreSessions) {
      refuse({ reason: 'prohibited', message: 'no more sessions' })
      return
    }
    if (this.#sessions >= this.#options.maxSessions) {
      refuse({ reason: 'resource-shortage', message: 'too many sessions' })
      return
    }
    const channel = confirm()
    this.#sessions++
    channel.onFinished(() => this.#sessions--)
    new SessionChannel(channel, {
      allow: (action) => this.#handlers.allow(action),
      session: (session) => this.#handlers.session(session),
      earlier: () => this.#requests.answered(),
      started: (type) => this.#timeouts.watch(channel, type),
      fault: this.#options.fault,
      clientKnowsEow: this.#transport.clientVersion.startsWith('OpenSSH'),
    })
  }

  #opened(type: number, reader: PacketReader): void {
    const pending = this.#opening.get(reader.u32())
    if (!pending) {
      // Answered after our limit: close it, or the client keeps it for ever.
      if (type === Message.CHANNEL_OPEN_CONFIRMATION) this.#transport.send(packet(Message.CHANNEL_CLOSE, reader.u32()))
      return
    }
    if (type === Message.CHANNEL_OPEN_FAILURE) {
      reader.u32()
      pending.failed(new Error(`the client refused: ${clientText(reader.text())}`))
    } else {
      pending.confirmed({ id: reader.u32(), window: reader.u32(), packetSize: reader.u32() })
    }
  }

  #add(id: number, type: string, remote: RemoteEnd): Channel {
    const channel = new Channel(remote, this.#transport, this.#options.budget, () => {
      this.#channels.delete(id)
      this.#timeouts.forget(channel)
      this.#checkUse()
    })
    this.#channels.set(id, channel)
    this.#timeouts.watch(channel, type)
    this.#checkUse()
    return channel
  }

  /** UnusedConnectionTimeout: channels count, listeners of -R do not (sshd_config(5)). */
  #checkUse(): void {
    const { unusedConnectionTimeout: limit } = this.#options
    if (limit === 0) return
    if (this.#count() > 0 || this.#closed.aborted) {
      clearTimeout(this.#unused)
      this.#unused = undefined
      return
    }
    this.#unused ??= setTimeout(() => {
      this.#transport.disconnect(DisconnectReason.BY_APPLICATION, `no channel was open for ${inWords(limit)}`)
    }, limit).unref()
  }

  /** Takes what a channel begins with from the budget. */
  #room(): boolean {
    return this.#count() < MAX_CHANNELS && this.#options.budget.take(START_WINDOW)
  }

  #count(): number {
    return this.#channels.size + this.#opening.size + this.#connecting
  }

  #newId(): number {
    // Low numbers again when all are free: they are in OpenSSH's messages to the user.
    let id = this.#channels.size + this.#opening.size === 0 ? 0 : this.#nextId
    while (this.#channels.has(id) || this.#opening.has(id)) id = (id + 1) % 0x7fffffff
    this.#nextId = id + 1
    return id
  }
}
