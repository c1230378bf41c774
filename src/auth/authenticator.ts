/** Authentication by public key and by certificate: sshd's user_key_allowed() (auth2-pubkey.c), for containers. */
import type { Logger } from 'pino'
import { messageOf } from '../base/errors.ts'
import { printable } from '../base/printable.ts'
import type { Config } from '../config/schema.ts'
import type { AuthContext, Authenticator } from '../ssh/auth.ts'
import { fingerprint } from '../ssh/public-key.ts'
import { openAuthorities } from './authorities.ts'
import type { AuthorizedKey } from './authorized-keys.ts'
import { type Certificate, isCertificate, parseCertificate } from './certificate.ts'
import { certificateTerms, isSigned } from './certificate-terms.ts'
import { createFidoCheck, type FidoCheck } from './fido.ts'
import type { Identity, Proof } from './identity.ts'
import { keyFilePaths, ownKey } from './key-files.ts'
import { isOfCommand, type KeyLine, type LineSource, openKeyCommand, openKeyLines } from './key-lines.ts'
import { whyNot } from './line-check.ts'
import type { ReadLogin } from './login-tokens.ts'
import { makeKeyFiles } from './make-key-files.ts'
import { linePrincipals, openPrincipals, type PrincipalSettings } from './principals.ts'
import { mergeRestrictions, type Restrictions } from './restrictions.ts'
import { openRevocations } from './revocation.ts'
import { isUndecided } from './undecided.ts'

export interface KeyAuthenticator extends Authenticator<Identity> {
  readonly fido: FidoCheck
  /**
   * Whom the proof would make of its holder today; undefined: nobody, as it is revoked, over, or not listed any more. No
   * program runs for it: what one has said stays said.
   */
  today(proof: Proof): Promise<Identity | undefined>
  /** Look at all files now; resolves with the number of keys. Changes are found without it, at the next login. */
  reload(): Promise<number>
}

export type KeySettings = Pick<Config, 'authorizedKeys' | 'keysDirectory'> &
  PrincipalSettings &
  Partial<
    Pick<
      Config,
      | 'authorizedKeysCommand'
      | 'authorizedKeysCommandUser'
      | 'trustedUserCAKeys'
      | 'caSignatureAlgorithms'
      | 'revokedKeys'
      | 'pubkeyAuthOptions'
      | 'users'
    >
  >

/** @throws HatchwayError CONFIG_INVALID */
export async function openAuthenticator(
  config: KeySettings,
  log: Logger,
  readLogin: ReadLogin = ({ user }) => ({ address: user }),
): Promise<KeyAuthenticator> {
  const { trustedUserCAKeys = [], caSignatureAlgorithms: signatureAlgorithms = ['ssh-ed25519'] } = config
  const files = openKeyLines(config, log)
  const command = await openKeyCommand(config, readLogin, log)
  const sources = command ? [command, files.lines] : [files.lines]
  const isAuthority = openAuthorities(trustedUserCAKeys, log)
  const allowedPrincipal = await openPrincipals(config, readLogin, log)
  const revocations = openRevocations(config.revokedKeys ?? [], log)
  try {
    // Nobody's key: what cannot be read is told at the start, and not at somebody's login.
    await Promise.all([isAuthority(Buffer.alloc(0)), revocations.why(Buffer.alloc(0))])
    await openDoor(config, files, trustedUserCAKeys.length > 0 || command !== undefined, log)
  } catch (error) {
    if (!isUndecided(error)) throw error
    log.error({ reason: messageOf(error.cause) }, error.message)
  }

  /** A text: why not. */
  function byKey({ key, source }: KeyLine, { remote }: AuthContext): Identity | string {
    const reason = whyNot(key.options, remote.address)
    return reason ?? identityOf(key, source, key.options.restrictions)
  }

  /** For an authority on a line of its own: its options hold, and the name is the line's, not the authority's to give. */
  function byCertificateLine(
    { key, source }: KeyLine,
    certificate: Certificate,
    context: AuthContext,
  ): Identity | string {
    const reason = whyNot(key.options, context.remote.address)
    if (reason !== undefined) return reason
    const principals = linePrincipals(certificate, key.options, context, readLogin)
    if (principals.length === 0) return 'none of its principals is asked for'
    const terms = certificateTerms(certificate, { address: context.remote.address })
    const merged = typeof terms === 'string' ? terms : mergeRestrictions(key.options.restrictions, terms)
    if (typeof merged === 'string') return merged
    const identity = identityOf(key, source, merged)
    return { ...identity, fingerprint: certificate.fingerprint, keyComment: shown(certificate.keyId), principals }
  }

  /** For an authority of trustedUserCAKeys: it says who somebody is. */
  async function byAuthority(certificate: Certificate, context: AuthContext): Promise<Identity | string> {
    const allowed = await allowedPrincipal(certificate, context)
    if (!allowed) return 'none of its principals is asked for'
    const terms = certificateTerms(certificate, { address: context.remote.address })
    const { options } = allowed
    const merged = typeof terms === 'string' || !options ? terms : mergeRestrictions(options.restrictions, terms)
    if (typeof merged === 'string') return merged
    const keyId = shown(certificate.keyId)
    return {
      name: keyId || certificate.fingerprint,
      method: 'publickey',
      fingerprint: certificate.fingerprint,
      keyComment: keyId,
      source: `${AUTHORITY}${fingerprint(certificate.authority)}`,
      groups: [],
      principals: certificate.principals,
      restrictions: merged,
    }
  }

  async function find(
    blob: Buffer,
    context: AuthContext,
    sources: readonly LineSource[],
  ): Promise<Identity | undefined> {
    const certificate = isCertificate(blob) ? parseCertificate(blob) : undefined
    let facts: object = { connection: context.connectionId }
    const refuse = (reason: string, via?: string) => {
      log.info({ ...facts, ...(via !== undefined && { line: via }), reason }, 'key not accepted')
    }
    if (isCertificate(blob) && !certificate) {
      refuse('the certificate is malformed')
      return undefined
    }
    // Before anything in it is shown or told to a program: sshd does not even parse one nobody signed (sshkey.c cert_parse).
    if (certificate && !isSigned(certificate, signatureAlgorithms)) {
      refuse('the certificate’s signature is not the authority’s, or by an algorithm not allowed')
      return undefined
    }
    if (certificate) facts = { ...facts, ...factsOf(certificate) }
    const revoked = await revocations.why(certificate?.key ?? blob, certificate)
    if (revoked !== undefined) {
      refuse(revoked)
      return undefined
    }
    if (certificate && (await isAuthority(certificate.authority))) {
      const found = await byAuthority(certificate, context)
      if (typeof found !== 'string') return found
      refuse(found)
    }
    let fault: unknown
    for (const source of sources) {
      const lines = await source({ blob, context, ...(certificate && { certificate }) }).catch((error: unknown) => {
        fault = error
        return []
      })
      for (const line of lines) {
        const found = certificate ? byCertificateLine(line, certificate, context) : byKey(line, context)
        if (typeof found !== 'string') return found
        refuse(found, line.source)
      }
    }
    // Only where no other knows the key: a program that cannot be started keeps out nobody who stands in a file.
    if (fault !== undefined) throw fault
    return undefined
  }

  async function publicKey(blob: Buffer, context: AuthContext, from = sources): Promise<Identity | undefined> {
    const identity = await find(blob, context, from)
    return identity && { ...identity, credential: blob }
  }

  /** Of what a program said, all that is asked without it. */
  async function stands(blob: Buffer, source: string): Promise<boolean> {
    const certificate = isCertificate(blob) ? parseCertificate(blob) : undefined
    if ((await revocations.why(certificate?.key ?? blob, certificate)) !== undefined) return false
    if (isOfCommand(source)) return command !== undefined
    return certificate !== undefined && isAuthority(certificate.authority)
  }

  return {
    publicKey: ({ blob }, context) => publicKey(blob, context),
    fido: createFidoCheck(config.pubkeyAuthOptions ?? [], log),
    async today({ identity, context }) {
      const { credential, source } = identity
      if (!credential) return undefined
      const said = isOfCommand(source) || (isOfAuthority(source) && config.authorizedPrincipalsCommand !== undefined)
      if (!said) return publicKey(credential, context, [files.lines])
      return (await stands(credential, source)) ? identity : undefined
    },
    reload: files.reload,
  }
}

/** With no configuration there is always one key that lets in who started us. */
async function openDoor(config: KeySettings, files: { count(): Promise<number> }, others: boolean, log: Logger) {
  if ((await files.count()) > 0) return
  if (config.authorizedKeys === undefined && !others) {
    const made = await makeKeyFiles(ownKey(config.keysDirectory), 'ed25519', 'hatchway-owner')
    log.info({ file: made.file, fingerprint: made.fingerprint }, 'no key of yours was found: made one')
  }
  if ((await files.count()) > 0 || others) return
  log.warn({ files: await keyFilePaths(config) }, 'no key is authorised')
}

function identityOf(key: AuthorizedKey, source: string, restrictions: Restrictions): Identity {
  const comment = shown(key.comment)
  return {
    name: comment || key.fingerprint,
    method: 'publickey',
    fingerprint: key.fingerprint,
    keyComment: comment,
    source,
    groups: [],
    principals: [],
    restrictions,
  }
}

const AUTHORITY = 'ca '

function isOfAuthority(source: string): boolean {
  return source.startsWith(AUTHORITY)
}

function shown(text: string): string {
  return printable(text).slice(0, 128)
}

/** For the log, as sshd writes them. */
function factsOf({ keyId, serial, fingerprint: print, authority }: Certificate) {
  return { certificate: shown(keyId), serial: String(serial), fingerprint: print, authority: fingerprint(authority) }
}
