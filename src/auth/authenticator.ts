/** Authentication by public key and by certificate: sshd's user_key_allowed() (auth2-pubkey.c), for containers. */
import type { Logger } from 'pino'
import type { Config } from '../config/schema.ts'
import { printable } from '../printable.ts'
import type { AuthContext, Authenticator } from '../ssh/auth.ts'
import { fingerprint } from '../ssh/public-key.ts'
import { openAuthorities } from './authorities.ts'
import type { AuthorizedKey } from './authorized-keys.ts'
import { type Certificate, isCertificate, parseCertificate } from './certificate.ts'
import { certificateTerms } from './certificate-terms.ts'
import { createFidoCheck, type FidoCheck } from './fido.ts'
import type { Identity } from './identity.ts'
import { keyFilePaths, ownKey } from './key-files.ts'
import { type Line, openKeyCommand, openKeyLines } from './key-lines.ts'
import { whyNot } from './line-check.ts'
import type { ReadLogin } from './login-tokens.ts'
import { makeKeyFiles } from './make-key-files.ts'
import { linePrincipals, openPrincipals, type PrincipalSettings } from './principals.ts'
import { mergeRestrictions, type Restrictions } from './restrictions.ts'
import { openRevocations } from './revocation.ts'

export interface KeyAuthenticator extends Authenticator<Identity> {
  readonly fido: FidoCheck
  /**
   * False: the key that let them in is revoked, or not in any file any more. What comes from a program or an authority is
   * not asked for again.
   */
  stillListed(identity: Identity): Promise<boolean>
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
  readLogin: ReadLogin = (address) => ({ address }),
): Promise<KeyAuthenticator> {
  const { trustedUserCAKeys = [], caSignatureAlgorithms: signatureAlgorithms = ['ssh-ed25519'] } = config
  const files = openKeyLines(config, log)
  const command = await openKeyCommand(config, readLogin, log)
  const sources = command ? [command, files.lines] : [files.lines]
  const isAuthority = openAuthorities(trustedUserCAKeys, log)
  const allowedPrincipal = await openPrincipals(config, readLogin, log)
  const revocations = openRevocations(config.revokedKeys ?? [], log)
  // Nobody's key: what cannot be read is told at the start, and not at somebody's login.
  await Promise.all([isAuthority(Buffer.alloc(0)), revocations.why(Buffer.alloc(0))])
  await openDoor(config, files, trustedUserCAKeys.length > 0 || command !== undefined, log)

  /** A text: why not. */
  function byKey({ key, source }: Line, { remote }: AuthContext): Identity | string {
    const reason = whyNot(key.options, remote.address)
    return reason ?? identityOf(key, source, key.options.restrictions)
  }

  /** For an authority on a line of its own: its options hold, and the name is the line's, not the authority's to give. */
  function byCertificateLine({ key, source }: Line, certificate: Certificate, context: AuthContext): Identity | string {
    const reason = whyNot(key.options, context.remote.address)
    if (reason !== undefined) return reason
    const principals = linePrincipals(certificate, key.options, context, readLogin)
    if (principals.length === 0) return 'none of its principals is asked for'
    const terms = certificateTerms(certificate, { address: context.remote.address, signatureAlgorithms })
    const merged = typeof terms === 'string' ? terms : mergeRestrictions(key.options.restrictions, terms)
    if (typeof merged === 'string') return merged
    const identity = identityOf(key, source, merged)
    return { ...identity, fingerprint: certificate.fingerprint, keyComment: shown(certificate.keyId), principals }
  }

  /** For an authority of trustedUserCAKeys: it says who somebody is. */
  async function byAuthority(certificate: Certificate, context: AuthContext): Promise<Identity | string> {
    const allowed = await allowedPrincipal(certificate, context)
    if (!allowed) return 'none of its principals is asked for'
    const terms = certificateTerms(certificate, { address: context.remote.address, signatureAlgorithms })
    const { options } = allowed
    const merged = typeof terms === 'string' || !options ? terms : mergeRestrictions(options.restrictions, terms)
    if (typeof merged === 'string') return merged
    const keyId = shown(certificate.keyId)
    return {
      name: keyId || certificate.fingerprint,
      method: 'publickey',
      fingerprint: certificate.fingerprint,
      keyComment: keyId,
      source: `ca ${fingerprint(certificate.authority)}`,
      groups: [],
      principals: certificate.principals,
      restrictions: merged,
    }
  }

  async function publicKey(blob: Buffer, context: AuthContext): Promise<Identity | undefined> {
    const certificate = isCertificate(blob) ? parseCertificate(blob) : undefined
    const facts = { connection: context.connectionId, ...(certificate && factsOf(certificate)) }
    const refuse = (reason: string, via?: string) => {
      log.info({ ...facts, ...(via !== undefined && { line: via }), reason }, 'key not accepted')
    }
    if (isCertificate(blob) && !certificate) {
      refuse('the certificate is malformed')
      return undefined
    }
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
    for (const source of sources) {
      for (const line of await source({ blob, context, ...(certificate && { certificate }) })) {
        const found = certificate ? byCertificateLine(line, certificate, context) : byKey(line, context)
        if (typeof found !== 'string') return found
        refuse(found, line.source)
      }
    }
    return undefined
  }

  return {
    async publicKey({ blob }, context) {
      const identity = await publicKey(blob, context)
      return identity && { ...identity, credential: blob }
    },
    fido: createFidoCheck(config.pubkeyAuthOptions ?? [], log),
    async stillListed({ fingerprint: print, principals, source, credential }) {
      if (credential && (await revocations.why(...revocable(credential))) !== undefined) return false
      const ofFile = print !== '' && principals.length === 0 && !source.startsWith('authorizedKeysCommand:')
      return !ofFile || files.has(print)
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

/** What a revocation may be of. */
function revocable(credential: Buffer): [Buffer, Certificate | undefined] {
  const certificate = isCertificate(credential) ? parseCertificate(credential) : undefined
  return [certificate?.key ?? credential, certificate]
}

function shown(text: string): string {
  return printable(text).slice(0, 128)
}

/** For the log, as sshd writes them. */
function factsOf({ keyId, serial, fingerprint: print, authority }: Certificate) {
  return { certificate: shown(keyId), serial: String(serial), fingerprint: print, authority: fingerprint(authority) }
}
