/** Who may log in, as the configuration in force has it: keys, people, methods. Made anew when those keys change. */
import type { Logger } from 'pino'
import { type KeyAuthenticator, openAuthenticator } from '../auth/authenticator.ts'
import type { Identity } from '../auth/identity.ts'
import type { Lockout } from '../auth/lockout.ts'
import { createLogin, type LoginMethods } from '../auth/login.ts'
import type { ReadLogin } from '../auth/login-tokens.ts'
import type { UsedSteps } from '../auth/used-steps.ts'
import { openUsers } from '../auth/users.ts'
import { splitLoginName } from '../base/login-name.ts'
import type { Config } from '../config/schema.ts'
import { parseMethods } from '../config/users.ts'
import { routeOf, targetOf } from '../container/route.ts'
import type { Authenticator } from '../ssh/auth.ts'

export interface People {
  readonly keys: KeyAuthenticator
  readonly login: LoginMethods
}

/** What outlives a configuration: used codes, and the users for whom wrong ones were tried. */
export interface Tried {
  readonly usedSteps: UsedSteps
  readonly lockout: Lockout
}

/** @throws HatchwayError CONFIG_INVALID */
export async function openPeople(config: Config, tried: Tried, log: Logger): Promise<People> {
  const readLogin = reading(config.hostSuffixes)
  const [users, keys] = await Promise.all([openUsers(config.users), openAuthenticator(config, log, readLogin)])
  const methods = parseMethods(config.authenticationMethods) ?? []
  return { keys, login: createLogin({ keys, users, ...tried, methods, log }) }
}

/** An authenticator that is always the one in force. */
export function followed(people: () => People): Required<Omit<Authenticator<Identity>, 'admit'>> {
  return {
    publicKey: (key, context) => people().login.publicKey(key, context),
    password: (password, context, proven) => people().login.password(password, context, proven),
    keyboardInteractive: (device, context, proven) => people().login.keyboardInteractive(device, context, proven),
    methods: (proven) => people().login.methods(proven),
    join: (proven, next) => people().login.join(proven, next),
    again: (identity, context) => people().login.again(identity, context),
    proved: (identity) => people().login.proved(identity),
    fido: (identity, shown, context) => people().keys.fido(identity, shown, context),
  }
}

function reading(suffixes: readonly string[]): ReadLogin {
  return ({ user: login, host }) => {
    const route = routeOf({ login, ...(host !== undefined && { host }) }, suffixes)
    const { user } = route
    const target = targetOf(route)
    // By its login name it is what was typed; by a host, or with a style (":skey"), it is put together as if it had been.
    const typed = splitLoginName(login).address
    const address =
      host === undefined && !typed.includes(':') ? typed : user === undefined ? target : `${user}@${target}`
    return { address, ...(user !== undefined && { user }) }
  }
}
