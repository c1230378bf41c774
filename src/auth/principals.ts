/**
 * Decides which principals of a certificate may log in. sshd accepts the account's name, or what
 * AuthorizedPrincipalsFile and AuthorizedPrincipalsCommand list if set (auth2-pubkey.c, user_cert_trusted_ca). Here the
 * account is the requested user inside, and `authorizedPrincipals` lists principals for every login. If none of these
 * three is set, principals that configured users and rules name count, too.
 */
import type { Logger } from 'pino'
import { connectionFacts } from '../base/connection-facts.ts'
import { anyGlobMatches } from '../base/glob.ts'
import type { Config } from '../config/schema.ts'
import type { AuthContext } from '../ssh/auth.ts'
import type { Certificate } from './certificate.ts'
import { openHelper } from './helper-program.ts'
import { type KeyOptions, NO_OPTIONS, optionsLength, parseKeyOptions } from './key-options.ts'
import { whyNot } from './line-check.ts'
import { CERTIFICATE_TOKENS, certificateTokens, loginTokens, type ReadLogin } from './login-tokens.ts'
import { readSafeFile } from './safe-file.ts'
import { checkTokens, expand, type Tokens } from './tokens.ts'

export type PrincipalSettings = Pick<
  Config,
  | 'authorizedPrincipals'
  | 'authorizedPrincipalsFile'
  | 'authorizedPrincipalsCommand'
  | 'authorizedPrincipalsCommandUser'
> &
  Partial<Pick<Config, 'users' | 'rules'>>

/** A principal that is allowed, with the options of its line, if any. */
export interface AllowedPrincipal {
  readonly options?: KeyOptions
}

/** Returns undefined if no principal of the certificate is allowed. */
export type PrincipalCheck = (certificate: Certificate, context: AuthContext) => Promise<AllowedPrincipal | undefined>

/** @throws HatchwayError CONFIG_INVALID */
export async function openPrincipals(
  settings: PrincipalSettings,
  readLogin: ReadLogin,
  log: Logger,
): Promise<PrincipalCheck> {
  const {
    authorizedPrincipals: patterns,
    authorizedPrincipalsFile: file,
    authorizedPrincipalsCommand: command,
  } = settings
  const named = namedPrincipals(settings)
  if (file !== undefined) checkTokens('authorizedPrincipalsFile', file, 'un')
  const helper =
    command === undefined
      ? undefined
      : await openHelper(
          {
            key: 'authorizedPrincipalsCommand',
            command,
            user: settings.authorizedPrincipalsCommandUser,
            tokens: CERTIFICATE_TOKENS,
          },
          log,
        )

  async function fromFile(
    certificate: Certificate,
    context: AuthContext,
    tokens: Tokens,
  ): Promise<AllowedPrincipal | undefined> {
    // A login without a user has no file if the file's name contains %u.
    const path = tokens.u === '' && file?.includes('%u') ? undefined : expand(file ?? '', tokens)
    if (path === undefined) return undefined
    const read = await readSafeFile(path, undefined, { parse: (bytes) => bytes.toString('utf8') })
    if (read?.unsafe !== undefined) log.warn({ file: path, reason: read.unsafe }, 'authorized principals ignored')
    return firstLine(read?.parsed ?? '', path, certificate, context, log)
  }

  return async (certificate, context) => {
    if (patterns === undefined && file === undefined && !helper) {
      const asked = loginPrincipals(context, readLogin)
      return certificate.principals.some((name) => asked.includes(name) || anyGlobMatches(named, name)) ? {} : undefined
    }
    const isListed = (principal: string) => patterns && anyGlobMatches(patterns, principal)
    if (certificate.principals.some(isListed)) return {}
    const tokens = loginTokens(context, readLogin)
    const found = file === undefined ? undefined : await fromFile(certificate, context, tokens)
    if (found || !helper) return found
    const output = await helper({ ...tokens, ...certificateTokens(certificate) }, context)
    return firstLine(output ?? '', 'authorizedPrincipalsCommand', certificate, context, log)
  }
}

/** A principal that a user or an allow rule names may log in; what it may do then, the rules say. */
function namedPrincipals({ users = {}, rules = [] }: PrincipalSettings): string[] {
  const people = Object.values(users).flatMap(({ principals = [] }) => principals)
  return [...people, ...rules.flatMap(({ effect, who }) => (effect === 'allow' ? (who?.principals ?? []) : []))]
}

/** For the login name "dev@web": dev, the account as sshd has it, and dev@web. */
function loginPrincipals(context: AuthContext, readLogin: ReadLogin): string[] {
  const { address, user } = readLogin(context)
  return [address, user ?? ''].filter((name) => name !== '')
}

/** Reads lines of "[OPTIONS] PRINCIPAL" (auth2-pubkeyfile.c, auth_check_principals_line). */
function firstLine(
  text: string,
  source: string,
  certificate: Certificate,
  context: AuthContext,
  log: Logger,
): AllowedPrincipal | undefined {
  for (const [index, raw] of text.split('\n').entries()) {
    const line = raw.replace(/#.*/, '').trim()
    const principal = /[^ \t]*$/.exec(line)?.[0] ?? ''
    if (principal === '' || !certificate.principals.includes(principal)) continue
    const options = lineOptions(line.slice(0, -principal.length).trim())
    const reason = typeof options === 'string' ? options : whyNot(options, context.remote.address)
    if (typeof options !== 'string' && reason === undefined) return { options }
    const facts = { ...connectionFacts(context), fingerprint: certificate.fingerprint }
    log.info({ ...facts, line: `${source}:${index + 1}`, reason }, 'principal not accepted')
  }
  return undefined
}

function lineOptions(text: string): KeyOptions | string {
  if (text === '') return NO_OPTIONS
  if (optionsLength(text) !== text.length) return 'options that cannot be read'
  const options = parseKeyOptions(text)
  return typeof options !== 'string' && options.certAuthority ? 'cert-authority means nothing here' : options
}

/** Returns the principals that a cert-authority line accepts: of its principals=, or else of the login name. */
export function linePrincipals(
  certificate: Certificate,
  options: KeyOptions,
  context: AuthContext,
  readLogin: ReadLogin,
): string[] {
  const allowed = options.principals ?? loginPrincipals(context, readLogin)
  return certificate.principals.filter((principal) => allowed.includes(principal))
}
