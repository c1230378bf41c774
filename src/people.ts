/** Who may log in, as the configuration in force has it: keys, people, methods. Made anew when those keys change. */
import type { Logger } from 'pino'
import { type KeyAuthenticator, openAuthenticator } from './auth/authenticator.ts'
import type { Identity } from './auth/identity.ts'
import { createLogin, type Login } from './auth/login.ts'
import type { UsedSteps } from './auth/used-steps.ts'
import { openUsers, type Users } from './auth/users.ts'
import type { Config } from './config/schema.ts'
import { parseMethods } from './config/users.ts'
import { splitLoginName } from './login-name.ts'
import type { Authenticator } from './ssh/auth.ts'
import { parseRoute } from './target/route.ts'

export interface People {
  readonly keys: KeyAuthenticator
  readonly users: Users
  readonly login: Login
}

/** @throws HatchwayError CONFIG_INVALID */
export async function openPeople(config: Config, usedSteps: UsedSteps, log: Logger): Promise<People> {
  const [users, keys] = await Promise.all([openUsers(config.users), openAuthenticator(config, log, readLogin)])
  const methods = parseMethods(config.authenticationMethods) ?? []
  return { users, keys, login: createLogin({ keys, users, usedSteps, methods, log }) }
}

/** An authenticator that is always the one in force. */
export function followed(people: () => People): Required<Omit<Authenticator<Identity>, 'admit'>> {
  return {
    publicKey: (key, context) => people().login.publicKey(key, context),
    password: (password, context, proven) => people().login.password(password, context, proven),
    keyboardInteractive: (device, context, proven) => people().login.keyboardInteractive(device, context, proven),
    methods: (proven) => people().login.methods(proven),
    join: (proven, next) => people().login.join(proven, next),
    nameOf: (identity) => people().login.nameOf(identity),
    fido: (identity, shown) => people().keys.fido(identity, shown),
  }
}

function readLogin(sshUser: string) {
  const { address } = splitLoginName(sshUser)
  const { user } = parseRoute(sshUser)
  return { address, ...(user !== undefined && { user }) }
}
