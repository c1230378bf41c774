/**
 * Host certificates, OpenSSH's PROTOCOL.certkeys: the client trusts an authority, not each key. In the key exchange the
 * certificate stands in the place of the public key; the signature is that of the plain key.
 */
import { PacketReader } from './packets.ts'
import { certifiedType } from './public-key.ts'
import type { ParsedKey } from './ssh2.ts'

const HOST = 2

/** `algorithms` of the key, as those of its certificate. */
export function certificateAlgorithms(algorithms: readonly string[]): string[] {
  return algorithms.map((name) => `${name}-cert-v01@openssh.com`)
}

/** A key that shows a certificate and signs as itself. `file` is a line as ssh-keygen -s writes it. */
export function certifiedKey(key: ParsedKey, file: Buffer): ParsedKey | undefined {
  const blob = Buffer.from(file.toString('latin1').trim().split(/\s+/)[1] ?? '', 'base64')
  if (!certifies(blob, key.getPublicSSH())) return undefined
  return {
    type: key.type,
    comment: key.comment,
    getPublicSSH: () => blob,
    getPrivatePEM: () => key.getPrivatePEM(),
    isPrivateKey: () => true,
    sign: (data, hash) => key.sign(data, hash),
  }
}

/** A host certificate of just that public key. Throws on what is no host certificate at all. */
function certifies(certificate: Buffer, publicKey: Buffer): boolean {
  const [outer, inner] = [new PacketReader(certificate), new PacketReader(publicKey)]
  if (certifiedType(outer.text()) !== inner.text()) return false
  outer.string() // nonce
  const fields = publicKey.subarray(inner.offset)
  const start = outer.offset
  if (!certificate.subarray(start, start + fields.length).equals(fields)) return false
  const serialLength = 8
  const type = new PacketReader(certificate, start + fields.length + serialLength).u32()
  if (type !== HOST) throw new Error('it is one of a user (ssh-keygen -s needs -h)')
  return true
}
