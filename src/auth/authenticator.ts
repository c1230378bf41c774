/** Authentication by public key and by certificate: sshd's user_key_allowed() (auth2-pubkey.c), for containers. */
import type { Logger } from 'pino'
import { beyondLoudKeys, type CertificateFacts, connectionFacts } from '../base/connection-facts.ts'
import { isFailure, messageOf } from '../base/errors.ts'
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

export interface KeyAuthenticator extends Authenticator<Identity> {
  readonly fido: FidoCheck
  /**
   * Returns the identity that the proof gives today; undefined if the key is revoked, expired or no longer listed. No
   * program runs for this: what an operator's program allowed at the login stays allowed.
   */
  today(proof: Proof): Promise<Identity | undefined>
  /** Reads all files now; resolves with the number of keys. Without this call the next login finds the changes. */
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
    // With an empty key: a file that cannot be read is reported at the start, not at the first login.
    await Promise.all([isAuthority(Buffer.alloc(0)), revocations.why(Buffer.alloc(0))])
    await openDoor(config, files, trustedUserCAKeys.length > 0 || command !== undefined, log)
  } catch (error) {
    if (!isFailure(error, 'LOGIN_UNDECIDED')) throw error
    log.error({ reason: messageOf(error.cause) }, error.message)
  }

  /** Returns a sentence if the line does not accept the key now. */
  function byKey({ key, source }: KeyLine, { remote }: AuthContext): Identity | string {
    const reason = whyNot(key.options, remote.address)
    return reason ?? identityOf(key, source, key.options.restrictions)
  }

  /** For an authority on a cert-authority line: the line's options apply, and the line gives the name. */
  function byCertificateLine(
    { key, source }: KeyLine,
    certificate: Certificate,
    context: AuthContext,
  ): Identity | string {
    const reason = whyNot(key.options, context.remote.address)
    if (reason !== undefined) return reason
    const principals = linePrincipals(certificate, key.options, context, readLogin)
    if (principals.length === 0) return 'none of its principals is asked for'
    const terms = certificateTerms(certificate, context.remote.address)
    const merged = typeof terms === 'string' ? terms : mergeRestrictions(key.options.restrictions, terms)
    if (typeof merged === 'string') return merged
    const identity = identityOf(key, source, merged)
    const { fingerprint } = certificate
    return { ...identity, fingerprint, certificate: certificateOf(certificate), principals }
  }

  /** For an authority of trustedUserCAKeys: the certificate's key id is the name. */
  async function byAuthority(certificate: Certificate, context: AuthContext): Promise<Identity | string> {
    const allowed = await allowedPrincipal(certificate, context)
    if (!allowed) return 'none of its principals is asked for'
    const terms = certificateTerms(certificate, context.remote.address)
    const { options } = allowed
    const merged = typeof terms === 'string' || !options ? terms : mergeRestrictions(options.restrictions, terms)
    if (typeof merged === 'string') return merged
    return {
      name: shown(certificate.keyId) || certificate.fingerprint,
      method: 'publickey',
      fingerprint: certificate.fingerprint,
      certificate: certificateOf(certificate),
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
    let facts: object = {}
    const refuse = (reason: string, via?: string, level: 'info' | 'debug' = 'info') => {
      context.refused?.(reason)
      const whose = { ...connectionFacts(context), fingerprint: fingerprint(blob) }
      log[level]({ ...whose, ...facts, ...(via !== undefined && { line: via }), reason }, 'key not accepted')
    }
    // Of what anybody can make up, a few lines are enough; of a key that somebody here knows there is always one.
    const madeUp = beyondLoudKeys(context.keysRefused) ? 'debug' : 'info'
    if (isCertificate(blob) && !certificate) {
      refuse('the certificate is malformed', undefined, madeUp)
      return undefined
    }
    // Before a field is logged or given to a program: sshd does not even parse an unsigned one (sshkey.c, cert_parse).
    if (certificate && !isSigned(certificate, signatureAlgorithms)) {
      refuse('the certificate’s signature is not the authority’s, or by an algorithm not allowed', undefined, madeUp)
      return undefined
    }
    if (certificate) facts = factsOf(certificate)
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
    // Only if no source knows the key: a program that cannot be started does not lock out the keys in files.
    if (fault !== undefined) throw fault
    return undefined
  }

  async function publicKey(blob: Buffer, context: AuthContext, from = sources): Promise<Identity | undefined> {
    const identity = await find(blob, context, from)
    return identity && { ...identity, credential: blob }
  }

  /** Repeats, for a key that an operator's program allowed, every check that needs no program. */
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

/** Without a configuration there is always one key, for the person who started the gateway. */
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
  return {
    name: shown(key.comment) || key.fingerprint,
    method: 'publickey',
    fingerprint: key.fingerprint,
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

function certificateOf({ keyId, serial, authority }: Certificate): CertificateFacts {
  return { serial: String(serial), keyId: shown(keyId), authority: fingerprint(authority) }
}

/** The fields of a certificate that sshd logs. */
function factsOf(of: Certificate) {
  const { keyId, serial, authority } = certificateOf(of)
  return { certificate: keyId, serial, fingerprint: of.fingerprint, authority }
}
