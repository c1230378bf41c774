/**
 * Checks that an authority signed a certificate, and reads what a user's certificate permits: sshd's
 * sshkey_cert_check_authority() and cert_option_list() (sshkey.c, auth-options.c). Whether the authority is trusted,
 * and for which principals, is decided elsewhere.
 */
import { areNetworks, matchesNetworks } from '../net/address-list.ts'
import { PacketReader } from '../ssh/packets.ts'
import { parseUserKey } from '../ssh/public-key.ts'
import type { Certificate, CertificateOption } from './certificate.ts'
import { type Restrictions, UNRESTRICTED } from './restrictions.ts'

const USER = 1
const FOREVER = 0xffff_ffff_ffff_ffffn

/** Returns the restrictions of a signed certificate, or a sentence why it is not valid now or from this address. */
export function certificateTerms(certificate: Certificate, address: string): Restrictions | string {
  const { kind, principals, validAfter, validBefore } = certificate
  if (kind !== USER) return 'it is not a certificate of a user'
  if (principals.length === 0) return 'it names no principal'
  const now = BigInt(Math.floor(Date.now() / 1000))
  if (now < validAfter) return 'it is not yet valid'
  if (now >= validBefore) return 'it is no longer valid'
  const terms = optionsOf(certificate, address)
  if (typeof terms === 'string') return terms
  return validBefore === FOREVER ? terms : { ...terms, expiresAt: Number(validBefore) * 1000 }
}

/** A certificate permits only what its extensions name. */
function optionsOf({ critical, extensions }: Certificate, address: string): Restrictions | string {
  if (!areDistinct(critical) || !areDistinct(extensions)) return 'it has an option twice'
  let command: string | undefined
  let verifyRequired = false
  for (const { name, data } of critical) {
    if (!CRITICAL.includes(name)) return `critical option ${name} is not known`
    const value = name === 'verify-required' ? flag(data) : textOf(data)
    if (value === undefined) return `its ${name} is malformed`
    if (name === 'force-command') command = value
    else if (name === 'verify-required') verifyRequired = true
    else if (!areNetworks(value)) return 'its source-address cannot be read'
    else if (!matchesNetworks(address, value)) return `${address} is not in its source-address`
  }
  const given = new Set<string>()
  for (const { name, data } of extensions) {
    // Unknown extensions are ignored (PROTOCOL.certkeys); the data of the known ones is always empty.
    if (KNOWN_EXTENSIONS.includes(name) && flag(data) === undefined) return `its ${name} is malformed`
    given.add(name)
  }
  return {
    ...UNRESTRICTED,
    ...(command !== undefined && { command }),
    pty: given.has('permit-pty'),
    portForwarding: given.has('permit-port-forwarding'),
    agentForwarding: given.has('permit-agent-forwarding'),
    x11Forwarding: given.has('permit-X11-forwarding'),
    touchRequired: !given.has('no-touch-required'),
    verifyRequired,
  }
}

const CRITICAL: readonly string[] = ['force-command', 'source-address', 'verify-required']
const KNOWN_EXTENSIONS: readonly string[] = [
  'permit-pty',
  'permit-port-forwarding',
  'permit-agent-forwarding',
  'permit-X11-forwarding',
  'permit-user-rc',
  'no-touch-required',
]

function areDistinct(options: readonly CertificateOption[]): boolean {
  return new Set(options.map(({ name }) => name)).size === options.length
}

function flag(data: Buffer): '' | undefined {
  return data.length === 0 ? '' : undefined
}

function textOf(data: Buffer): string | undefined {
  try {
    const reader = new PacketReader(data)
    const value = reader.string()
    return reader.left > 0 || value.includes(0) ? undefined : value.toString('utf8')
  } catch {
    return undefined
  }
}

/** Returns whether the authority it names signed it, by one of `algorithms` (CASignatureAlgorithms). */
export function isSigned({ authority, signed, signature }: Certificate, algorithms: readonly string[]): boolean {
  const algorithm = signatureAlgorithm(signature)
  if (algorithm === undefined || !algorithms.includes(algorithm)) return false
  return parseUserKey(algorithm, authority)?.verify(signed, signature) !== undefined
}

/** Reads the algorithm from the signature: an RSA key signs with several hashes, other keys in one way only. */
function signatureAlgorithm(signature: Buffer): string | undefined {
  try {
    return new PacketReader(signature).text()
  } catch {
    return undefined
  }
}
