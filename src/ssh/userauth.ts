/** User authentication, RFC 4252, with sshd's rules (auth2.c): `none` and `publickey`, tries counted, one user. */
import type { AuthContext, Authenticator } from './auth.ts'
import { DisconnectReason, fields, MalformedPacket, Message, PacketReader, packet } from './packets.ts'
import { fingerprint, parseUserKey } from './public-key.ts'
import type { Transport } from './transport.ts'

const METHODS = 'publickey'
/** Requests a client may send ahead of our answers. */
const MAX_PENDING = 10
/** A user name is longer than a Unix one: it may name a container, too. */
const MAX_USER_LENGTH = 1024

export interface UserAuthOptions<Identity> {
  readonly transport: Transport
  readonly authenticator: Authenticator<Identity>
  readonly maxAuthTries: number
  readonly context: (user: string) => AuthContext
  readonly banner: (context: AuthContext) => string | undefined
  readonly decided: (context: AuthContext, method: string, accepted: boolean, fingerprint?: string) => void
  readonly fault: (error: unknown) => void
  /** Told right after USERAUTH_SUCCESS was sent. */
  readonly succeeded: (identity: Identity, user: string) => void
}

interface Request {
  readonly method: string
  readonly payload: Buffer
  readonly reader: PacketReader
}

export class UserAuth<Identity> {
  readonly #options: UserAuthOptions<Identity>
  readonly #pending: Request[] = []
  #context: AuthContext | undefined
  #serviceAccepted = false
  #busy = false
  #attempts = 0
  #failures = 0
  #done = false

  constructor(options: UserAuthOptions<Identity>) {
    this.#options = options
  }

  packet(type: number, payload: Buffer): void {
    const { transport } = this.#options
    const reader = new PacketReader(payload, 1)
    if (type === Message.SERVICE_REQUEST) {
      this.#service(reader.text())
      return
    }
    if (type === Message.USERAUTH_REQUEST) {
      this.#request(payload, reader)
      return
    }
    // RFC 4252 §6: nothing of the connection protocol before authentication.
    if (type >= Message.GLOBAL_REQUEST && type <= Message.CHANNEL_FAILURE) {
      transport.disconnect(DisconnectReason.PROTOCOL_ERROR, 'not authenticated')
      return
    }
    transport.unimplemented()
  }

  #service(name: string): void {
    const { transport } = this.#options
    if (name !== 'ssh-userauth') {
      transport.disconnect(DisconnectReason.SERVICE_NOT_AVAILABLE, `no service "${printable(name)}"`)
      return
    }
    this.#serviceAccepted = true
    transport.send(packet(Message.SERVICE_ACCEPT, name))
  }

  #request(payload: Buffer, reader: PacketReader): void {
    if (this.#done) return // RFC 4252 §5.1: silently ignored after success.
    const { transport } = this.#options
    const user = reader.text()
    const service = reader.text()
    const method = reader.text()
    if (!this.#serviceAccepted || user.length > MAX_USER_LENGTH) {
      transport.disconnect(DisconnectReason.PROTOCOL_ERROR, 'bad authentication request')
      return
    }
    if (service !== 'ssh-connection') {
      transport.disconnect(DisconnectReason.SERVICE_NOT_AVAILABLE, `no service "${printable(service)}"`)
      return
    }
    if (this.#context && this.#context.user !== user) {
      transport.disconnect(DisconnectReason.PROTOCOL_ERROR, 'change of user name not allowed')
      return
    }
    if (this.#pending.length >= MAX_PENDING) {
      transport.disconnect(DisconnectReason.PROTOCOL_ERROR, 'too many authentication requests')
      return
    }
    if (!this.#context) this.#greet(this.#options.context(user))
    // The payload may be a view of the socket's buffer, and the answer may take a while.
    const copy = Buffer.from(payload)
    this.#pending.push({ method, payload: copy, reader: new PacketReader(copy, reader.offset) })
    this.#next()
  }

  #greet(context: AuthContext): void {
    this.#context = context
    const text = this.#options.banner(context)
    if (text) this.#options.transport.send(packet(Message.USERAUTH_BANNER, text, ''))
  }

  /** One request after the other, in the order sent: RFC 4252 §5.1. */
  #next(): void {
    if (this.#busy || this.#done || this.#options.transport.closed) return
    const request = this.#pending.shift()
    const context = this.#context
    if (!request || !context) return
    this.#busy = true
    this.#decide(request, context)
      .catch((error: unknown) => {
        if (error instanceof MalformedPacket) {
          this.#options.transport.disconnect(DisconnectReason.PROTOCOL_ERROR, error.message)
          return
        }
        this.#options.fault(error)
        this.#fail(context, request.method)
      })
      .finally(() => {
        this.#busy = false
        this.#next()
      })
  }

  async #decide(request: Request, context: AuthContext): Promise<void> {
    this.#attempts++
    if (request.method === 'publickey') return this.#publicKey(request, context)
    // The first `none` asks which methods there are; sshd does not count it.
    if (request.method === 'none' && this.#attempts === 1) return this.#refuse()
    this.#fail(context, request.method)
  }

  async #publicKey({ payload, reader }: Request, context: AuthContext): Promise<void> {
    const { transport, authenticator, decided, succeeded } = this.#options
    const signed = reader.bool()
    const algorithm = reader.text()
    const blob = reader.string()
    const signedLength = reader.offset
    const key = parseUserKey(algorithm, blob)
    const identity = key && (await authenticator.publicKey({ algorithm, blob }, context))
    if (transport.closed) return
    if (!key || identity === undefined) return this.#fail(context, 'publickey', fingerprint(blob))
    if (!signed) return transport.send(packet(Message.USERAUTH_PK_OK, algorithm, blob))
    const data = fields(transport.sessionId, { raw: payload.subarray(0, signedLength) })
    if (!key.verify(data, reader.string())) return this.#fail(context, 'publickey', fingerprint(blob))
    const refusal = await authenticator.admit?.(identity, context)
    if (transport.closed) return
    if (refusal !== undefined) {
      transport.send(packet(Message.USERAUTH_BANNER, `${refusal}\r\n`, ''))
      return this.#fail(context, 'publickey', fingerprint(blob))
    }
    this.#done = true
    transport.authenticated()
    decided(context, 'publickey', true, fingerprint(blob))
    succeeded(identity, context.user)
  }

  #fail(context: AuthContext, method: string, print?: string): void {
    const { transport, decided, maxAuthTries } = this.#options
    if (transport.closed) return
    decided(context, printable(method), false, print)
    this.#failures++
    if (this.#failures < maxAuthTries) {
      this.#refuse()
      return
    }
    transport.disconnect(DisconnectReason.PROTOCOL_ERROR, 'Too many authentication failures')
  }

  #refuse(): void {
    this.#options.transport.send(packet(Message.USERAUTH_FAILURE, METHODS, false))
  }
}

/** A name from a client, for a log line or a message. */
function printable(name: string): string {
  return name.slice(0, 64).replace(/[^\x20-\x7e]/g, '?')
}
