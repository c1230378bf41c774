/** All methods of authentication, for keys and configured users, as one Authenticator for the SSH server. */
import { isDeepStrictEqual } from 'node:util'
import type { Logger } from 'pino'
import { connectionFacts } from '../base/connection-facts.ts'
import { splitLoginName } from '../base/login-name.ts'
import { clientText } from '../base/printable.ts'
import type { PasswordHash } from '../config/secrets.ts'
import type { AuthContext, Authenticator, Dialogue } from '../ssh/auth.ts'
import type { MethodList } from '../ssh/auth-methods.ts'
import type { KeyAuthenticator } from './authenticator.ts'
import type { Identity, Proof } from './identity.ts'
import type { Lockout } from './lockout.ts'
import { nobodysHash, verifyPassword } from './password-hash.ts'
import { asksMore, mergeRestrictions, UNRESTRICTED } from './restrictions.ts'
import { stepOf } from './totp.ts'
import type { UsedSteps } from './used-steps.ts'
import type { User, Users } from './users.ts'

const PASSWORD = { text: 'Password: ', echo: false }
const CODE = { text: 'Verification code: ', echo: false }

export interface LoginDependencies {
  readonly keys: Pick<KeyAuthenticator, 'publicKey' | 'today'>
  readonly users: Users
  readonly usedSteps: UsedSteps
  readonly lockout: Lockout
  /** AuthenticationMethods of users who have none of their own. */
  readonly methods: readonly MethodList[]
  readonly log: Logger
}

export interface LoginMethods extends Required<Omit<Authenticator<Identity>, 'admit' | 'fido'>> {
  /** Returns the identity as configuration and key files have it now; undefined if it could not log in any more. */
  today(identity: Identity): Promise<Identity | undefined>
  /** Returns whether the identity's proofs would let it in at this login, too, and on the same terms. */
  holds(identity: Identity, context: AuthContext): Promise<boolean>
}

export function createLogin({ keys, users, usedSteps, lockout, methods, log }: LoginDependencies): LoginMethods {
  const nobody = nobodysHash(users.all.map((user) => user.passwordHash).reduce(costlier, undefined))
  const anyTotp = users.all.some((user) => user.totp)
  const anybodys = [...methods, ...users.all.flatMap((user) => user.authenticationMethods ?? [])]

  if (
    anybodys.flat().some((method) => method !== 'publickey') &&
    !users.all.some((user) => user.passwordHash ?? user.totp)
  ) {
    log.warn('authenticationMethods ask for a password or a code, and no user has one')
  }

  /** Returns the user whose password or code is expected: the proved one, else the one the login name claims. */
  function subject(context: AuthContext, proven: Identity | undefined): User | undefined {
    return users.find(proven ? proven.name : splitLoginName(context.user).claimed)
  }

  async function passwordOf(user: User | undefined, password: Buffer, context: AuthContext): Promise<boolean> {
    // The same work for an unknown user, a user without a password, and an empty password.
    const right = await verifyPassword(password, user?.passwordHash ?? nobody, context.signal)
    return right && user?.passwordHash !== undefined && password.length > 0
  }

  async function codeOf(user: User | undefined, code: Buffer, context: AuthContext): Promise<boolean> {
    if (!user?.totp) return false
    const facts = { ...connectionFacts(context), identity: user.name }
    const attempt = await lockout.attempt(user.name)
    if (!attempt) {
      log.warn(facts, 'verification code refused: too many wrong ones')
      context.refused?.('too many wrong verification codes')
      return false
    }
    const step = stepOf(user.totp, code.toString('latin1'), Date.now())
    if (step === undefined) {
      const { waitMs } = attempt
      log.info({ ...facts, ...(waitMs > 0 && { lockedFor: waitMs / 1000 }) }, 'wrong verification code')
      context.refused?.('wrong verification code')
      return false
    }
    if (await usedSteps.claim(user.name, step * user.totp.period)) {
      await attempt.right()
      return true
    }
    await attempt.forget()
    log.warn(facts, 'verification code was used before')
    context.refused?.('the verification code was used before')
    return false
  }

  /** Asks for what the user has, a stranger for what any user has: a wrong password does not show before the code. */
  async function* everything(context: AuthContext, proven: Identity | undefined): Dialogue<Identity> {
    const user = subject(context, proven)
    let right = true
    if (!proven || user?.passwordHash || !user?.totp) {
      const [password = Buffer.alloc(0)] = yield { prompts: [PASSWORD] }
      right = await passwordOf(user, password, context)
    }
    if (user?.totp || (!right && !proven && anyTotp)) {
      const [code = Buffer.alloc(0)] = yield { prompts: [CODE] }
      right = right && (await codeOf(user, code, context))
    }
    return right && user ? identityOf(user, 'keyboard-interactive') : undefined
  }

  function owned(proof: Proof): Identity {
    return { ...users.own(proof.identity), proofs: [proof] }
  }

  function isClaimed(identity: Identity, context: AuthContext): boolean {
    const { claimed } = splitLoginName(context.user)
    if (claimed === undefined || claimed === identity.name) return true
    const facts = { ...connectionFacts(context, identity), claimed: clientText(claimed) }
    log.info(facts, 'the key is somebody else’s')
    context.refused?.('the key is somebody else’s')
    return false
  }

  function join(proven: Identity, next: Identity): Identity | undefined {
    // A name that is not configured comes from a key's comment: two keys with one comment need not be one person's.
    if (proven.name !== next.name || !users.find(next.name)) return undefined
    const restrictions = mergeRestrictions(proven.restrictions, next.restrictions)
    if (typeof restrictions === 'string') {
      log.warn({ identity: next.name, reason: restrictions }, 'two methods that cannot be joined')
      return undefined
    }
    const method = `${proven.method},${next.method}`
    const [first, second] = proven.fingerprint === '' ? [next, proven] : [proven, next]
    const principals = [...new Set([...first.principals, ...second.principals])]
    const proofs = [...(proven.proofs ?? []), ...(next.proofs ?? [])]
    return { ...first, method, principals, restrictions, proofs }
  }

  /** Checks each key and certificate of the identity again. For a password or code, its user must still be there. */
  async function anew(
    identity: Identity,
    ask: (proof: Proof) => Promise<Proof | undefined>,
  ): Promise<Identity | undefined> {
    let keyed: Identity | undefined
    for (const before of identity.proofs ?? []) {
      const proof = await ask(before)
      if (!proof || asksMore(proof.identity.restrictions, before.identity.restrictions)) return undefined
      keyed = keyed ? join(keyed, owned(proof)) : owned(proof)
      if (!keyed) return undefined
    }
    if (keyed?.method === identity.method) return keyed
    const user = users.find(identity.name)
    if (keyed) return user && keyed.name === user.name ? { ...keyed, method: identity.method } : undefined
    return user && identity.source === sourceOf(user) ? { ...identity, groups: user.groups } : undefined
  }

  async function again(identity: Identity, context: AuthContext): Promise<Identity | undefined> {
    const found = await anew(identity, async ({ identity: { credential } }) => {
      const accepted = credential && (await keys.publicKey({ algorithm: '', blob: credential }, context))
      return accepted && { identity: accepted, context }
    })
    // A key that is another user's now is refused: that user may have to prove more.
    return found?.name === identity.name && isClaimed(found, context) ? found : undefined
  }

  return {
    async publicKey(key, context) {
      const accepted = await keys.publicKey(key, context)
      const identity = accepted && owned({ identity: accepted, context })
      return identity && isClaimed(identity, context) ? identity : undefined
    },

    again,

    async holds(identity, context) {
      const there = await again(identity, context)
      return there !== undefined && isDeepStrictEqual(termsOf(there), termsOf(identity))
    },

    today: (identity) =>
      anew(identity, async (proof) => {
        const found = await keys.today(proof)
        return found && { ...proof, identity: found }
      }),

    async password(password, context, proven) {
      const user = subject(context, proven)
      return (await passwordOf(user, password, context)) && user ? identityOf(user, 'password') : undefined
    },

    async *keyboardInteractive(device, context, proven) {
      if (device === '') return yield* everything(context, proven)
      const user = subject(context, proven)
      const [answer = Buffer.alloc(0)] = yield { prompts: [device === 'totp' ? CODE : PASSWORD] }
      const right = await (device === 'totp' ? codeOf : passwordOf)(user, answer, context)
      return right && user ? identityOf(user, `keyboard-interactive:${device}`) : undefined
    },

    methods: (proven) => (proven ? (users.find(proven.name)?.authenticationMethods ?? methods) : anybodys),

    join,

    proved: (identity) => identity,
  }
}

function identityOf(user: User, method: string): Identity {
  return {
    name: user.name,
    method,
    fingerprint: '',
    source: sourceOf(user),
    groups: user.groups,
    principals: [],
    restrictions: UNRESTRICTED,
  }
}

function termsOf({ groups, principals, restrictions }: Identity) {
  return { groups, principals, restrictions }
}

function sourceOf({ name }: User): string {
  return `user ${name}`
}

function costlier(most: PasswordHash | undefined, next: PasswordHash | undefined): PasswordHash | undefined {
  const work = (hash: PasswordHash | undefined) => (hash ? 2 ** hash.ln * hash.r * hash.p : 0)
  return work(next) > work(most) ? next : most
}
