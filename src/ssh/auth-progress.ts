/** How far a client has come: the identity it has proved, and which methods may come next. */
import type { Authenticator } from './auth.ts'
import { afterSuccess, devicesOf, type MethodList, methodNames } from './auth-methods.ts'
import type { UserKey } from './public-key.ts'

/** What a method has proved, before it is said whether that is enough. */
export interface MethodProof<Identity> {
  readonly method: string
  readonly identity: Identity | undefined
  readonly device?: string
  /** As the client offered it, for the log. */
  readonly fingerprint?: string
  readonly key?: UserKey
  /** Nothing was to be proved: the client asked whether a key would do. */
  readonly query?: true
}

export interface MethodVerdict<Identity> {
  readonly result: 'complete' | 'partial' | 'refused'
  /** Undefined when nobody was proved, or somebody else than before. */
  readonly identity: Identity | undefined
}

const DEFAULT: readonly MethodList[] = [['publickey']]

export class AuthProgress<Identity> {
  readonly #authenticator: Authenticator<Identity>
  #lists: readonly MethodList[] = []
  #proven: Identity | undefined
  #usedKeys: UserKey[] = []

  constructor(authenticator: Authenticator<Identity>) {
    this.#authenticator = authenticator
    this.startOver()
  }

  get proven(): Identity | undefined {
    return this.#proven
  }

  /** For USERAUTH_FAILURE. */
  get names(): string {
    return methodNames(this.#lists)
  }

  devices(method: string): readonly string[] {
    return devicesOf(this.#lists, method)
  }

  /** "publickey,publickey" asks for two keys, not for one twice (auth2_key_already_used, auth2-pubkey.c). */
  used(key: UserKey): boolean {
    return this.#usedKeys.some((before) => before.equals(key))
  }

  advance({ method, device, identity, key }: MethodProof<Identity>): MethodVerdict<Identity> {
    const joined = this.#join(identity)
    if (joined === undefined) return { result: 'refused', identity: undefined }
    // Before anything was proved the lists were anybody's; from now on they are those of the proved identity.
    const left = afterSuccess(this.#proven === undefined ? this.#methods(joined) : this.#lists, method, device)
    if (!left) return { result: 'refused', identity: joined }
    this.#proven = joined
    this.#lists = left
    if (key) this.#usedKeys.push(key)
    return { result: left.some((list) => list.length === 0) ? 'complete' : 'partial', identity: joined }
  }

  startOver(): void {
    this.#proven = undefined
    this.#lists = this.#methods(undefined)
    this.#usedKeys = []
  }

  #join(identity: Identity | undefined): Identity | undefined {
    if (this.#proven === undefined || identity === undefined) return identity
    return this.#authenticator.join?.(this.#proven, identity)
  }

  #methods(identity: Identity | undefined): readonly MethodList[] {
    return this.#authenticator.methods?.(identity) ?? DEFAULT
  }
}
