/** Global requests, RFC 4254 §4 and §7.1: answered one after the other, for their order is all a client has. */
import { type Deferred, deferred } from '../lifetime/deferred.ts'
import { type ConnectionHandlers, type ForwardBind, MAX_PORT } from './connection.ts'
import { createHostKeyProofs, type HostKeyProofs, type HostKeys } from './hostkeys.ts'
import { DisconnectReason, Message, type PacketReader, packet } from './packets.ts'
import type { Transport } from './transport.ts'

/** Requests ahead of our answers, and their bytes. */
const MAX_PENDING = 256
const MAX_PENDING_BYTES = 256 * 1024
/** PATH_MAX of Linux; a host's name is shorter. */
const MAX_NAME_BYTES = 4096

export interface GlobalRequestOptions {
  readonly transport: Transport
  readonly hostKeys: HostKeys
  readonly handlers: () => ConnectionHandlers
  readonly fault: (error: unknown) => void
}

const FAILURE = packet(Message.REQUEST_FAILURE)
const SUCCESS = packet(Message.REQUEST_SUCCESS)

interface Pending {
  readonly name: string
  readonly wantReply: boolean
  readonly data: PacketReader
  /** Resolves those (dials, programs) that must wait for this request's answer. */
  answered?: Deferred<void>
}

export class GlobalRequests {
  readonly #options: GlobalRequestOptions
  readonly #proofs: HostKeyProofs
  readonly #pending: Pending[] = []
  /** Being answered. */
  #current: Pending | undefined
  #pendingBytes = 0
  #noMoreSessions = false

  constructor(options: GlobalRequestOptions) {
    this.#options = options
    this.#proofs = createHostKeyProofs(options.hostKeys)
  }

  /** The client said no-more-sessions@openssh.com (PROTOCOL §2.2): a later one is not its own. */
  get noMoreSessions(): boolean {
    return this.#noMoreSessions
  }

  request(name: string, wantReply: boolean, data: PacketReader): void {
    this.#pendingBytes += data.size
    if (this.#pending.length >= MAX_PENDING || this.#pendingBytes > MAX_PENDING_BYTES) {
      this.#options.transport.disconnect(DisconnectReason.PROTOCOL_ERROR, 'too many requests')
      return
    }
    this.#pending.push({ name, wantReply, data })
    this.#next()
  }

  /**
   * Settles when every request so far has been answered; undefined: it has been. sshd answers one before it reads the next
   * packet, so what a client sends behind a tcpip-forward finds its listener.
   */
  answered(): Promise<void> | undefined {
    const last = this.#pending.at(-1) ?? this.#current
    if (!last) return undefined
    last.answered ??= deferred()
    return last.answered.promise
  }

  /** The connection is gone. What waits for an answer goes on, and finds that. */
  end(): void {
    for (const waited of [this.#current, ...this.#pending]) waited?.answered?.resolve()
    this.#pending.length = 0
  }

  #next(): void {
    while (!this.#current) {
      const pending = this.#pending.shift()
      if (!pending) return
      this.#pendingBytes -= pending.data.size
      // Also where reading it throws, which ends the connection: end() releases those that wait for it.
      this.#current = pending
      const reply = this.#handle(pending.name, pending.data)
      if (Buffer.isBuffer(reply)) {
        this.#current = undefined
        this.#reply(pending, reply)
        continue
      }
      reply
        .catch((error: unknown) => {
          this.#options.fault(error)
          return FAILURE
        })
        .then((answer) => {
          this.#current = undefined
          this.#reply(pending, answer)
          this.#next()
        })
        // One that waited was cut short.
        .catch((error: unknown) => this.#options.transport.broken(error))
    }
  }

  #reply({ wantReply, answered }: Pending, answer: Buffer): void {
    if (wantReply) this.#options.transport.send(answer)
    answered?.resolve()
  }

  #handle(name: string, data: PacketReader): Buffer | Promise<Buffer> {
    switch (name) {
      case 'tcpip-forward':
        return this.#forward(tcpBind(data))
      case 'cancel-tcpip-forward':
        return this.#cancel(tcpBind(data))
      case 'streamlocal-forward@openssh.com':
        return this.#forward({ kind: 'unix', path: data.text() })
      case 'cancel-streamlocal-forward@openssh.com':
        return this.#cancel({ kind: 'unix', path: data.text() })
      case 'no-more-sessions@openssh.com':
        this.#noMoreSessions = true
        return SUCCESS
      case 'hostkeys-prove-00@openssh.com':
        return this.#proofs(this.#options.transport, data.rest()) ?? FAILURE
    }
    return FAILURE
  }

  async #forward(bind: ForwardBind): Promise<Buffer> {
    if (bind.kind === 'tcp' && bind.port > MAX_PORT) return FAILURE
    if ((bind.kind === 'unix' ? bind.path : bind.host).length > MAX_NAME_BYTES) return FAILURE
    const port = await this.#options.handlers().forward?.(bind)
    if (port === undefined) return FAILURE
    // The port is told only to a client that asked for any (RFC 4254 §7.1).
    return bind.kind === 'tcp' && bind.port === 0 ? packet(Message.REQUEST_SUCCESS, port) : SUCCESS
  }

  async #cancel(bind: ForwardBind): Promise<Buffer> {
    return (await this.#options.handlers().cancelForward?.(bind)) ? SUCCESS : FAILURE
  }
}

function tcpBind(data: PacketReader): ForwardBind {
  return { kind: 'tcp', host: data.text(), port: data.u32() }
}
