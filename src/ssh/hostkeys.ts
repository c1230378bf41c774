/** The server's own keys: which algorithms they serve, and hostkeys-00@openssh.com (PROTOCOL §2.5). */
import { createPrivateKey, sign as signOnce } from 'node:crypto'
import { HatchwayError, messageOf } from '../base/errors.ts'
import { certificateAlgorithms, certifiedKey } from './host-certificates.ts'
import { fields, Message, PacketReader, packet } from './packets.ts'
import { type ParsedKey, ssh2 } from './ssh2.ts'

/** What a file holds, and its name for messages. */
export interface HostKeyFile {
  readonly file: string
  readonly bytes: Buffer
}

export interface HostKeys {
  /** Negotiable algorithm → key, in the order to offer. */
  readonly byAlgorithm: Readonly<Record<string, ParsedKey>>
  /** All of them, announced and proved: of several of one type only the first is negotiated. */
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

/**
 * As sshd: the first key of a type signs key exchanges. The others are announced and proved too, so that clients learn a
 * key before it takes the first one's place.
 *
 * @throws HatchwayError CONFIG_INVALID naming the file that cannot be used, or the certificate that has no key here
 */
export function parseHostKeys(files: readonly HostKeyFile[], certificates: readonly HostKeyFile[] = []): HostKeys {
  const byAlgorithm: Record<string, ParsedKey> = {}
  const keys: ParsedKey[] = []
  for (const file of files) {
    const key = parsePrivateKey(file)
    const algorithms = ALGORITHMS[key.type]
    if (!algorithms) throw unusable(`host key ${file.file}`, `a key of type ${key.type} cannot be used`)
    if (keys.some((known) => known.getPublicSSH().equals(key.getPublicSSH()))) continue
    for (const name of algorithms) byAlgorithm[name] ??= key
    keys.push(key)
  }
  if (keys.length === 0) throw new HatchwayError('CONFIG_INVALID', 'no host key')
  // Certificates first, as sshd: a client that knows no authority offers none of their algorithms.
  return { byAlgorithm: { ...certified(keys, certificates), ...byAlgorithm }, keys }
}

/** A certificate brings its own key, whichever of its type that is; of several the one of the first key counts (sshd). */
function certified(keys: readonly ParsedKey[], certificates: readonly HostKeyFile[]): Record<string, ParsedKey> {
  const owners = certificates.map((certificate) => {
    const index = keys.findIndex((key) => certifiedBy(key, certificate) !== undefined)
    if (index < 0) throw unusable(`host certificate ${certificate.file}`, 'it belongs to none of the host keys')
    return { certificate, index }
  })
  const byAlgorithm: Record<string, ParsedKey> = {}
  for (const { certificate, index } of owners.sort((a, b) => a.index - b.index)) {
    const key = keys[index]
    const shown = key && certifiedBy(key, certificate)
    if (!shown) continue
    for (const name of certificateAlgorithms(ALGORITHMS[shown.type] ?? [])) byAlgorithm[name] ??= shown
  }
  return byAlgorithm
}

function certifiedBy(key: ParsedKey, { file, bytes }: HostKeyFile): ParsedKey | undefined {
  try {
    return certifiedKey(key, bytes)
  } catch (error) {
    throw unusable(`host certificate ${file}`, messageOf(error), error)
  }
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

/** Returns the answer to hostkeys-prove-00, a signature for each key asked for; undefined: refuse. */
export type HostKeyProofs = (context: ProofContext, asked: Buffer) => Buffer | undefined

/**
 * For one connection, in which the proof of a key is the same whenever it is asked for: it is signed once, as an RSA
 * signature takes milliseconds of the thread that serves everybody.
 */
export function createHostKeyProofs({ keys }: HostKeys): HostKeyProofs {
  const known = new Map<string, Buffer>()

  function proofOf(blob: Buffer, context: ProofContext): Buffer | undefined {
    const key = keys.find((candidate) => candidate.getPublicSSH().equals(blob))
    if (!key) return undefined
    const algorithm = proofAlgorithm(key, context)
    const name = `${algorithm} ${keys.indexOf(key)}`
    const proof =
      known.get(name) ?? sign(key, algorithm, fields('hostkeys-prove-00@openssh.com', context.sessionId, blob))
    if (proof) known.set(name, proof)
    return proof
  }

  return (context, asked) => {
    const reader = new PacketReader(asked)
    const proofs: Buffer[] = []
    while (reader.left > 0) {
      const blob = reader.string()
      // Each key once is all that a client needs.
      const proof = proofs.length < keys.length ? proofOf(blob, context) : undefined
      if (!proof) return undefined
      proofs.push(proof)
    }
    return proofs.length > 0 ? packet(Message.REQUEST_SUCCESS, ...proofs) : undefined
  }
}

/** OpenSSH checks an RSA proof with the hash that the key exchange used (clientloop.c). */
function proofAlgorithm({ type }: ParsedKey, { hostKeyAlgorithm }: ProofContext): string {
  if (type !== 'ssh-rsa') return type
  return hostKeyAlgorithm.startsWith('rsa-sha2-256') ? 'rsa-sha2-256' : 'rsa-sha2-512'
}

function sign(key: ParsedKey, algorithm: string, data: Buffer): Buffer | undefined {
  const raw = key.sign(data, RSA_HASH[algorithm])
  if (raw instanceof Error) return undefined
  const signature = ssh2.convertSignature(raw, key.type)
  return signature ? fields(algorithm, signature) : undefined
}

function parsePrivateKey({ file, bytes }: HostKeyFile): ParsedKey {
  const parsed = ssh2.parseKey(bytes)
  if (parsed instanceof Error) throw unusable(`host key ${file}`, parsed.message, parsed)
  const key = Array.isArray(parsed) ? parsed[0] : parsed
  const pem = key?.getPrivatePEM()
  if (!key || !pem) throw unusable(`host key ${file}`, 'it holds no private key')
  // ssh2 reads the PEM anew for every signature, which costs ten times the signature.
  const object = createPrivateKey(pem)
  key.sign = (data, hash = HASH[key.type]) => signOnce(hash, data, object)
  return key
}

function unusable(what: string, why: string, cause?: unknown): HatchwayError {
  return new HatchwayError('CONFIG_INVALID', `${what} cannot be used: ${why}`, { cause })
}
