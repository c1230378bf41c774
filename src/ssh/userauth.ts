/**
 * User authentication, RFC 4252, with sshd's rules (auth2.c): one user name, tries counted, methods in chains with
 * partial success. What a method proves is auth-verifier.ts's; the order of packets is this file's.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { ProvedName } from '../base/connection-facts.ts'
import { asHatchwayError } from '../base/errors.ts'
import { clientText } from '../base/printable.ts'
import type { AuthContext, Authenticator } from './auth.ts'
import { refusalDelay } from './auth-delay.ts'
import { AuthProgress, type MethodProof, type MethodVerdict } from './auth-progress.ts'
import { readRequest } from './auth-requests.ts'
import { AuthVerifier, type MethodRequest } from './auth-verifier.ts'
import { DisconnectReason, MalformedPacket, Message, PacketReader, packet } from './packets.ts'
import type { Transport } from './transport.ts'

/** Requests a client may send ahead of our answers. */
const MAX_PENDING = 10
/** One request, or those that wait: a certificate with all its principals is a quarter of it. */
const MAX_BYTES = 64 * 1024
/** sshd's bound on requests, of which not all count as tries (auth2.c). */
const MAX_REQUESTS = 1024
/**
 * Keys that a client may ask about, which sshd counts as tries (auth2.c): an agent offers all it has, expired certificates
 * among them, and nobody guesses a key.
 */
const MAX_KEY_QUERIES = 64
/** A user name is longer than a Unix one: it may name a container, too. */
const MAX_USER_LENGTH = 1024

const TRY_FEWER = 'with IdentitiesOnly=yes and -i ssh tries one key alone'

/** How a refusal counts: a question about a key, a try, or a proof of somebody who may not log in by this name. */
export type AuthFailure = 'query' | 'try' | 'turned away'

/** How one try ended. */
export interface AuthResult {
  /** "keyboard-interactive:totp" where a device was used. */
  readonly method: string
  readonly result: 'accepted' | 'partial' | 'refused'
  readonly fingerprint?: string
  /** Whom the methods so far have proved. */
  readonly identity?: string
  readonly who?: ProvedName
  /** Why it was refused, where more is known than that it was. */
  readonly reason?: string
  /** Of a refusal. */
  readonly failure?: AuthFailure
  /** Admittance.leadsTo */
  readonly leadsTo?: string
}

export interface UserAuthOptions<Identity> {
  readonly transport: Transport
  readonly authenticator: Authenticator<Identity>
  /** Carried.identity */
  readonly carried: Identity | undefined
  readonly maxAuthTries: number
  readonly context: (user: string) => AuthContext
  readonly banner: string | undefined
  readonly decided: (context: AuthContext, result: AuthResult) => void
  readonly fault: (error: unknown) => void
  /** Called right after USERAUTH_SUCCESS was sent. */
  readonly succeeded: (identity: Identity, user: string) => void
}

export class UserAuth<Identity> {
  readonly #options: UserAuthOptions<Identity>
  readonly #progress: AuthProgress<Identity>
  readonly #verifier: AuthVerifier<Identity>
  readonly #pending: MethodRequest[] = []
  #context: AuthContext | undefined
  #serviceAccepted = false
  #pendingBytes = 0
  #busy = false
  #requests = 0
  #attempted = false
  #turnedAway = false
  #failures = 0
  #queries = 0
  #done = false
  /** Why the method in hand proves nothing. */
  #reason: string | undefined
  readonly #refused = (reason: string): void => {
    this.#reason = reason
  }

  constructor(options: UserAuthOptions<Identity>) {
    this.#options = options
    this.#progress = new AuthProgress(options.authenticator)
    this.#verifier = new AuthVerifier({ ...options, progress: this.#progress })
  }

  /** More than asking which methods there are. */
  get attempted(): boolean {
    return this.#attempted
  }

  /** The client proved its identity, and may not log in by this name; and it guessed no password afterwards. */
  get turnedAway(): boolean {
    return this.#turnedAway
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
    if (type === Message.USERAUTH_INFO_RESPONSE && this.#context) {
      const answered = this.#verifier.answer(reader)
      if (answered) {
        this.#work(this.#context, answered)
        return
      }
    }
    // RFC 4252 §6: nothing of the connection protocol before authentication.
    if (type >= Message.GLOBAL_REQUEST && type <= Message.CHANNEL_FAILURE) {
      transport.disconnect(DisconnectReason.PROTOCOL_ERROR, 'not authenticated')
      return
    }
    transport.unimplemented()
  }

  /** Questions about keys that were answered with no. */
  get keysRefused(): number {
    return this.#queries
  }

  /** The connection is gone. */
  end(): void {
    this.#done = true
    this.#pending.length = 0
    this.#verifier.end()
  }

  #service(name: string): void {
    const { transport } = this.#options
    if (name !== 'ssh-userauth') {
      transport.disconnect(DisconnectReason.SERVICE_NOT_AVAILABLE, `no service "${clientText(name)}"`)
      return
    }
    this.#serviceAccepted = true
    transport.send(packet(Message.SERVICE_ACCEPT, name))
  }

  #request(payload: Buffer, reader: PacketReader): void {
    if (this.#done) return // RFC 4252 §5.1: silently ignored after success.
    const { transport } = this.#options
    const { user, service, method } = readRequest(reader)
    if (!this.#serviceAccepted || user.length > MAX_USER_LENGTH) {
      transport.disconnect(DisconnectReason.PROTOCOL_ERROR, 'bad authentication request')
      return
    }
    if (service !== 'ssh-connection') {
      transport.disconnect(DisconnectReason.SERVICE_NOT_AVAILABLE, `no service "${clientText(service)}"`)
      return
    }
    if (this.#context && this.#context.user !== user) {
      transport.disconnect(DisconnectReason.PROTOCOL_ERROR, 'change of user name not allowed')
      return
    }
    this.#pendingBytes += payload.length
    if (this.#pending.length >= MAX_PENDING || this.#pendingBytes > MAX_BYTES) {
      transport.disconnect(DisconnectReason.PROTOCOL_ERROR, 'too many authentication requests')
      return
    }
    if (!this.#context) this.#greet(this.#options.context(user))
    this.#pending.push({ method, payload, reader })
    this.#next()
  }

  #greet(context: AuthContext): void {
    this.#context = context
    const { banner, transport } = this.#options
    if (banner) transport.send(packet(Message.USERAUTH_BANNER, banner, ''))
  }

  /** One request after the other, in the order sent: RFC 4252 §5.1. */
  #next(): void {
    const context = this.#context
    if (this.#busy || this.#done || !context || this.#options.transport.closed) return
    const request = this.#pending.shift()
    this.#pendingBytes -= request?.payload.length ?? 0
    if (request) this.#work(context, () => this.#decide(request, context))
  }

  /** Runs what a packet asks for; no other is looked at meanwhile. */
  #work(context: AuthContext, task: () => Promise<MethodProof<Identity> | undefined>): void {
    const began = performance.now()
    this.#busy = true
    task()
      .then((proof) => proof && this.#conclude(proof, context, began))
      .catch((error: unknown) => this.#undecided(error, context))
      .finally(() => {
        this.#busy = false
        this.#next()
      })
  }

  /** No failure to authenticate: nobody looked whether the client could. */
  #undecided(error: unknown, { signal }: AuthContext): void {
    const { transport, fault } = this.#options
    if (signal.aborted && error === signal.reason) return
    if (error instanceof MalformedPacket) {
      transport.disconnect(DisconnectReason.PROTOCOL_ERROR, error.message)
      return
    }
    fault(error)
    transport.disconnect(DisconnectReason.SERVICE_NOT_AVAILABLE, asHatchwayError(error).message)
  }

  /** What the method proves; undefined: it was answered, and nothing is decided yet. */
  async #decide(request: MethodRequest, context: AuthContext): Promise<MethodProof<Identity> | undefined> {
    const { method } = request
    // What had been answered was a try: uncounted, a client could guess passwords for ever by turning away before the
    // last question.
    if (this.#verifier.abandon()) this.#count(context, { method: 'keyboard-interactive', result: 'refused' }, 'try')
    if (this.#options.transport.closed) return undefined
    if (++this.#requests > MAX_REQUESTS) {
      this.#options.transport.disconnect(DisconnectReason.PROTOCOL_ERROR, 'too many authentication requests')
      return undefined
    }
    const { carried } = this.#options
    if (method !== 'none' || carried !== undefined) this.#attempted = true
    if (method === 'none' && carried !== undefined) {
      return { method, identity: await this.#options.authenticator.again?.(carried, context) }
    }
    // The first `none` asks which methods there are; sshd does not count it.
    if (method === 'none' && this.#requests === 1) return this.#refuse(false)
    const devices = this.#progress.devices(method)
    if (devices.length === 0) return { method: clientText(method), identity: undefined }
    this.#reason = undefined
    return this.#verifier.verify(request, devices, {
      ...context,
      keysRefused: this.#queries,
      refused: this.#refused,
    })
  }

  async #conclude(proof: MethodProof<Identity>, context: AuthContext, began: number): Promise<void> {
    const { transport, authenticator, decided, succeeded } = this.#options
    if (transport.closed) return
    const { result, identity } = proof.method === 'none' ? this.#asCarried(proof) : this.#progress.advance(proof)
    const who = identity === undefined ? undefined : authenticator.proved?.(identity)
    const print = proof.fingerprint ?? (who?.fingerprint || undefined)
    const told = {
      method: proof.device ? `${proof.method}:${proof.device}` : proof.method,
      ...(print !== undefined && { fingerprint: print }),
      ...(who && { identity: who.name, who }),
    }
    if (result === 'partial') {
      decided(context, { ...told, result })
      this.#refuse(true)
      return
    }
    if (result === 'refused' || identity === undefined)
      return this.#fail(context, this.#because(told, this.#reason), began, proof.query ? 'query' : 'try')
    const admitted = (await authenticator.admit?.(identity, context)) ?? {}
    if (transport.closed) return
    if (admitted.refusal !== undefined) {
      transport.send(packet(Message.USERAUTH_BANNER, `${admitted.refusal}\r\n`, ''))
      this.#progress.startOver()
      return this.#fail(context, this.#because(told, admitted.refusal), began, 'turned away')
    }
    this.#done = true
    transport.authenticated()
    const { leadsTo } = admitted
    decided(context, { ...told, ...(leadsTo !== undefined && { leadsTo }), result: 'accepted' })
    succeeded(identity, context.user)
  }

  /**
   * The methods were gone through on the connection that carries this one; a client that has begun anew here must go
   * through all.
   */
  #asCarried({ identity }: MethodProof<Identity>): MethodVerdict<Identity> {
    return identity === undefined || this.#progress.proven !== undefined
      ? { result: 'refused', identity: undefined }
      : { result: 'complete', identity }
  }

  #because(told: Omit<AuthResult, 'result'>, reason: string | undefined): AuthResult {
    return { ...told, ...(reason !== undefined && { reason }), result: 'refused' }
  }

  async #fail(context: AuthContext, result: AuthResult, began: number, kind: AuthFailure): Promise<void> {
    const { transport } = this.#options
    await sleep(refusalDelay(performance.now() - began), undefined, { ref: false })
    if (transport.closed) return
    this.#count(context, result, kind)
    if (!transport.closed) this.#refuse(false)
  }

  #count(context: AuthContext, result: AuthResult, kind: AuthFailure): void {
    const { transport, decided, maxAuthTries } = this.#options
    // Nobody guesses a key: a client offers all it has.
    this.#turnedAway = kind === 'turned away' || (this.#turnedAway && result.method === 'publickey')
    decided(kind === 'query' ? { ...context, keysRefused: this.#queries } : context, { ...result, failure: kind })
    if (kind === 'query') this.#queries++
    else this.#failures++
    const queriesLeft = Math.max(MAX_KEY_QUERIES, maxAuthTries) - this.#queries
    if (this.#failures < maxAuthTries && queriesLeft > 0) return
    // OpenSSH's client shows the sentence, which begins as sshd's.
    const keys =
      this.#queries === 0 ? '' : `: ${this.#queries} keys were tried, and none of them lets you in; ${TRY_FEWER}`
    transport.disconnect(DisconnectReason.PROTOCOL_ERROR, `Too many authentication failures${keys}`)
  }

  #refuse(partial: boolean): undefined {
    this.#options.transport.send(packet(Message.USERAUTH_FAILURE, this.#progress.names, partial))
  }
}
