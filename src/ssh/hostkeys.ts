/** The server's own keys: which algorithms they serve, and hostkeys-00@openssh.com (PROTOCOL §2.5). */
import { createPrivateKey, sign as signOnce } from 'node:crypto'
import { certificateAlgorithms, certifiedKey } from './host-certificates.ts'
import { fields, Message, PacketReader, packet } from './packets.ts'
import { type ParsedKey, ssh2 } from './ssh2.ts'

export interface HostKeys {
  /** Negotiable algorithm → key, in the order to offer. */
  readonly byAlgorithm: Readonly<Record<string, ParsedKey>>
  readonly keys: readonly ParsedKey[]
}

/** sshkey.c's names; SHA-1 `ssh-rsa` signatures are never made. */
const ALGORITHMS: Readonly<Record<string, readonly string[]>> = {
  'ssh-ed25519': ['ssh-ed25519'],
  'ecdsa-sha2-nistp256': ['ecdsa-sha2-nistp256'],
  'ecdsa-sha2-nistp384': ['ecdsa-sha2-nistp384'],
  'ecdsa-sha2-nistp521': ['ecdsa-sha2-nistp521'],
  'ssh-rsa': ['rsa-sha2-512', 'rsa-sha2-256'],
}

/** RFC 5656 §6.2.1, RFC 8332; Ed25519 has its own. */
const HASH: Readonly<Record<string, string>> = {
  'ecdsa-sha2-nistp256': 'sha256',
  'ecdsa-sha2-nistp384': 'sha384',
  'ecdsa-sha2-nistp521': 'sha512',
  'ssh-rsa': 'sha512',
}

const RSA_HASH: Readonly<Record<string, string>> = { 'rsa-sha2-512': 'sha512', 'rsa-sha2-256': 'sha256' }

/** Throws a sentence on files that cannot be used, and on a certificate without its key. */
export function loadHostKeys(files: readonly Buffer[], certificates: readonly Buffer[] = []): HostKeys {
  const byAlgorithm: Record<string, ParsedKey> = {}
  const keys: ParsedKey[] = []
  for (const file of files) {
    const key = parsePrivateKey(file)
    const algorithms = ALGORITHMS[key.type]
    if (!algorithms) throw new Error(`a host key of type ${key.type} cannot be used`)
    // As sshd: one key of a type; the first counts.
    if (algorithms.some((name) => name in byAlgorithm)) continue
    for (const name of algorithms) byAlgorithm[name] = key
    keys.push(key)
  }
  if (keys.length === 0) throw new Error('no host key')
  // Certificates first, as sshd: a client that knows no authority offers none of their algorithms.
  return { byAlgorithm: { ...certified(keys, certificates), ...byAlgorithm }, keys }
}

function certified(keys: readonly ParsedKey[], certificates: readonly Buffer[]): Record<string, ParsedKey> {
  const byAlgorithm: Record<string, ParsedKey> = {}
  for (const file of certificates) {
    const found = keys.flatMap((key) => certifiedKey(key, file) ?? [])[0]
    if (!found) throw new Error('a host certificate belongs to none of the host keys')
    for (const name of certificateAlgorithms(ALGORITHMS[found.type] ?? [])) byAlgorithm[name] = found
  }
  return byAlgorithm
}

/** Tell a client of all our keys, so that it learns new ones (UpdateHostKeys). */
export function announceHostKeys({ keys }: HostKeys): Buffer {
  const blobs = keys.map((key) => key.getPublicSSH())
  return packet(Message.GLOBAL_REQUEST, 'hostkeys-00@openssh.com', false, ...blobs)
}

/** What a proof is bound to: this connection's first exchange and the algorithm of its key. */
export interface ProofContext {
  readonly sessionId: Buffer
  readonly hostKeyAlgorithm: string
}

/** The reply to hostkeys-prove-00: a signature for each key asked for; undefined: refuse. */
export function proveHostKeys(hostKeys: HostKeys, context: ProofContext, asked: Buffer): Buffer | undefined {
  const reader = new PacketReader(asked)
  const signatures: Buffer[] = []
  while (reader.left > 0) {
    const blob = reader.string()
    const key = hostKeys.keys.find((candidate) => candidate.getPublicSSH().equals(blob))
    // Each key once is all a client can ask: signing costs us time.
    if (!key || signatures.length === hostKeys.keys.length) return undefined
    const signature = sign(key, fields('hostkeys-prove-00@openssh.com', context.sessionId, blob), context)
    if (!signature) return undefined
    signatures.push(signature)
  }
  return signatures.length > 0 ? packet(Message.REQUEST_SUCCESS, ...signatures) : undefined
}

function sign(key: ParsedKey, data: Buffer, { hostKeyAlgorithm }: ProofContext): Buffer | undefined {
  // OpenSSH checks an RSA proof with the hash that the key exchange used (clientloop.c).
  const rsa256 = hostKeyAlgorithm.startsWith('rsa-sha2-256')
  const algorithm = key.type !== 'ssh-rsa' ? key.type : rsa256 ? 'rsa-sha2-256' : 'rsa-sha2-512'
  const raw = key.sign(data, RSA_HASH[algorithm])
  if (raw instanceof Error) return undefined
  const signature = ssh2.convertSignature(raw, key.type)
  return signature ? fields(algorithm, signature) : undefined
}

function parsePrivateKey(file: Buffer): ParsedKey {
  const parsed = ssh2.parseKey(file)
  if (parsed instanceof Error) throw new Error(`cannot read a host key: ${parsed.message}`)
  const key = Array.isArray(parsed) ? parsed[0] : parsed
  const pem = key?.getPrivatePEM()
  if (!key || !pem) throw new Error('a host key file holds no private key')
  // ssh2 reads the PEM anew for every signature, which costs ten times the signature.
  const object = createPrivateKey(pem)
  key.sign = (data, hash = HASH[key.type]) => signOnce(hash, data, object)
  return key
}
