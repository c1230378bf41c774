/** What a client says in authentication requests, RFC 4252 and RFC 4256: strict readers, nothing decided. */
import { MalformedPacket, type PacketReader } from './packets.ts'

/** sshd's MAX_PASSWORD_LEN (auth-passwd.c): what is longer is no password. */
const MAX_SECRET_BYTES = 1024
/** sshd's bound (auth2-chall.c). */
const MAX_ANSWERS = 100

export interface AuthRequest {
  readonly user: string
  readonly service: string
  readonly method: string
}

/** RFC 4252 §5. */
export function readRequest(reader: PacketReader): AuthRequest {
  return { user: reader.text(), service: reader.text(), method: reader.text() }
}

export interface PublicKeyRequest {
  readonly algorithm: string
  readonly blob: Buffer
  /** Where the bytes that are signed end. */
  readonly signedLength: number
  /** Absent: only asked whether the key would do. */
  readonly signature?: Buffer
}

/** RFC 4252 §7. */
export function readPublicKey(reader: PacketReader): PublicKeyRequest {
  const signed = reader.bool()
  const request = { algorithm: reader.text(), blob: reader.string(), signedLength: reader.offset }
  if (!signed) return request
  const signature = reader.string()
  reader.end()
  return { ...request, signature }
}

/**
 * RFC 4252 §8. Undefined when there is nothing to verify: too long, or a change of password, which nobody was asked for;
 * sshd does not look at the old one either.
 */
export function readPassword(reader: PacketReader): Buffer | undefined {
  const change = reader.bool()
  const password = reader.string()
  if (change) reader.string()
  reader.end()
  return change || password.length > MAX_SECRET_BYTES ? undefined : password
}

/** RFC 4256 §3.1: the devices a client would like; undefined: any. */
export function readInteractive(reader: PacketReader): readonly string[] | undefined {
  reader.string() // language
  const hint = reader.text()
  reader.end()
  return hint === '' ? undefined : hint.split(',')
}

/** RFC 4256 §3.4. Undefined when one of them is too long. @throws MalformedPacket when they are not as many as asked */
export function readAnswers(reader: PacketReader, expected: number): readonly Buffer[] | undefined {
  const count = reader.u32()
  if (count !== expected || count > MAX_ANSWERS) throw new MalformedPacket('wrong number of answers')
  const answers = Array.from({ length: count }, () => Buffer.from(reader.string()))
  reader.end()
  return answers.some((answer) => answer.length > MAX_SECRET_BYTES) ? undefined : answers
}
