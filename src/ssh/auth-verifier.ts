/**
 * What a method proves: publickey and password (RFC 4252 §7, §8), keyboard-interactive (RFC 4256). Whether that is enough,
 * and what a failure costs, is userauth.ts's.
 */
import type { AuthContext, Authenticator } from './auth.ts'
import type { AuthProgress, MethodProof } from './auth-progress.ts'
import { readInteractive, readPassword, readPublicKey } from './auth-requests.ts'
import { Exchange, type Proved } from './keyboard-interactive.ts'
import { fields, Message, type PacketReader, packet } from './packets.ts'
import { fingerprint, parseUserKey } from './public-key.ts'
import type { Transport } from './transport.ts'

export interface AuthVerifierOptions<Identity> {
  readonly transport: Transport
  readonly authenticator: Authenticator<Identity>
  readonly progress: AuthProgress<Identity>
  readonly fault: (error: unknown) => void
}

export interface MethodRequest {
  readonly method: string
  /** The whole packet: it is what a key signs. */
  readonly payload: Buffer
  /** After the method's name. */
  readonly reader: PacketReader
}

export class AuthVerifier<Identity> {
  readonly #options: AuthVerifierOptions<Identity>
  /** Refused on this connection. Asking again must not run the operator's programs again. */
  readonly #refusedKeys = new Set<string>()
  #exchange: Exchange<Identity> | undefined
  #ended = false

  constructor(options: AuthVerifierOptions<Identity>) {
    this.#options = options
  }

  /** With the `devices` that may come next. Undefined: it was answered, and nothing is decided yet. */
  async verify(
    { method, payload, reader }: MethodRequest,
    devices: readonly string[],
    context: AuthContext,
  ): Promise<MethodProof<Identity> | undefined> {
    switch (method) {
      case 'publickey':
        return this.#publicKey(payload, reader, context)
      case 'password':
        return this.#password(reader, context)
      case 'keyboard-interactive':
        return this.#interactive(devices, reader, context)
      default:
        return { method, identity: undefined }
    }
  }

  /** Answers to questions: taken apart at once, verified later. Undefined: none were asked. @throws MalformedPacket */
  answer(reader: PacketReader): (() => Promise<MethodProof<Identity> | undefined>) | undefined {
    const exchange = this.#exchange
    if (!exchange?.waiting) return undefined
    const next = exchange.answer(reader)
    this.#exchange = undefined
    return () => this.#turn(exchange, next())
  }

  /** Another request ends an exchange (RFC 4256 §3.1). True: it had been answered. Idempotent. */
  abandon(): boolean {
    const exchange = this.#exchange
    if (!exchange) return false
    this.#exchange = undefined
    exchange.end().catch((error: unknown) => this.#options.fault(error))
    return exchange.answered
  }

  /** The connection is gone. */
  end(): void {
    this.#ended = true
    this.abandon()
  }

  async #publicKey(
    payload: Buffer,
    reader: PacketReader,
    context: AuthContext,
  ): Promise<MethodProof<Identity> | undefined> {
    const { transport, authenticator, progress } = this.#options
    const { algorithm, blob, signature, signedLength } = readPublicKey(reader)
    const key = parseUserKey(algorithm, blob)
    const print = key?.fingerprint ?? fingerprint(blob)
    const refused: MethodProof<Identity> = {
      ...{ method: 'publickey', identity: undefined, fingerprint: print },
      ...(!signature && { query: true }),
    }
    const offered = () => `${algorithm} ${fingerprint(blob)}`
    const before = this.#refusedKeys.size > 0 && this.#refusedKeys.has(offered())
    if (!key || progress.used(key) || before) return refused
    const identity = await authenticator.publicKey({ algorithm, blob }, context)
    if (identity === undefined) {
      this.#refusedKeys.add(offered())
      return refused
    }
    if (!signature) {
      if (!transport.closed) transport.send(packet(Message.USERAUTH_PK_OK, algorithm, blob))
      return undefined
    }
    const data = fields(transport.sessionId, { raw: payload.subarray(0, signedLength) })
    const signed = key.verify(data, signature)
    if (!signed) return refused
    const { fido } = signed
    const enough = !fido || (authenticator.fido?.(identity, fido, context) ?? fido.touched)
    return enough ? { ...refused, identity, key } : refused
  }

  async #password(reader: PacketReader, context: AuthContext): Promise<MethodProof<Identity>> {
    const { authenticator, progress } = this.#options
    const password = readPassword(reader)
    const identity = password && (await authenticator.password?.(password, context, progress.proven))
    return { method: 'password', identity }
  }

  /** The client's own list narrows the devices (auth2-chall.c). */
  #interactive(
    devices: readonly string[],
    reader: PacketReader,
    context: AuthContext,
  ): Promise<MethodProof<Identity> | undefined> {
    const { transport, authenticator, progress } = this.#options
    const wanted = readInteractive(reader)
    const exchange = new Exchange<Identity>(
      devices.filter((device) => device === '' || wanted === undefined || wanted.includes(device)),
      (device) => authenticator.keyboardInteractive?.(device, context, progress.proven),
      (packet) => void (transport.closed || transport.send(packet)),
    )
    return this.#turn(exchange, exchange.start())
  }

  async #turn(
    exchange: Exchange<Identity>,
    turn: Promise<Proved<Identity> | undefined | 'asked'>,
  ): Promise<MethodProof<Identity> | undefined> {
    const outcome = await turn
    if (outcome !== 'asked') {
      return { method: 'keyboard-interactive', identity: outcome?.identity, ...(outcome && { device: outcome.device }) }
    }
    this.#exchange = exchange
    if (this.#ended) this.abandon()
    return undefined
  }
}
