/** SFTP v3 (draft-ietf-secsh-filexfer-02) as bytes: numbers, fields, attributes, long names. */

/** §7: those for which OpenSSH's client has a message. */
export const STATUS = { ok: 0, eof: 1, noSuchFile: 2, denied: 3, failure: 4, badMessage: 5, unsupported: 8 } as const
export type StatusName = keyof typeof STATUS

export const OPEN = { read: 1, write: 2, append: 4, create: 8, truncate: 16, exclusive: 32 } as const

/** A response other than success, with a sentence for the client. */
export class SftpError extends Error {
  readonly status: StatusName
  constructor(status: StatusName, message: string) {
    super(message)
    this.status = status
  }
}

/** A file, directory or link in the container. */
export interface Node {
  readonly type: 'file' | 'directory' | 'link' | 'other'
  /** Permission bits, with setuid, setgid and sticky. */
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly size: number
  /** Seconds since the epoch. */
  readonly mtime: number
  /** Only of a link. */
  readonly target?: string
}

/** The attributes that a client sets; absent ones stay. */
export interface Changes {
  readonly size?: number
  readonly uid?: number
  readonly gid?: number
  readonly mode?: number
  readonly mtime?: number
}

const HAS = { size: 1, owner: 2, mode: 4, times: 8, extended: 0x8000_0000 }
const FILE_TYPE = { file: 0o100000, directory: 0o040000, link: 0o120000, other: 0o010000 }
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** @throws SftpError badMessage on a packet that ends early */
export class Fields {
  readonly #packet: Buffer
  #at = 0

  constructor(packet: Buffer) {
    this.#packet = packet
  }

  #take(length: number): Buffer {
    if (this.#at + length > this.#packet.length) throw new SftpError('badMessage', 'the request ends early')
    this.#at += length
    return this.#packet.subarray(this.#at - length, this.#at)
  }

  u32(): number {
    return this.#take(4).readUInt32BE(0)
  }

  /** No file has more than 2^53 bytes. */
  u64(): number {
    const value = this.#take(8).readBigUInt64BE(0)
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new SftpError('badMessage', 'an offset beyond any file')
    return Number(value)
  }

  bytes(): Buffer {
    return this.#take(this.u32())
  }

  /** A path. Tar headers and the engines' API take text, so a name must be UTF-8. */
  text(): string {
    const bytes = this.bytes()
    if (bytes.includes(0)) throw new SftpError('badMessage', 'a NUL byte cannot be in a name')
    try {
      return utf8.decode(bytes)
    } catch {
      throw new SftpError('failure', 'names that are not UTF-8 need the guest helper')
    }
  }

  changes(): Changes {
    const flags = this.u32()
    /** Skips the access time, for which a tar has no place. */
    const mtime = () => [this.u32(), this.u32()][1] ?? 0
    return {
      ...(flags & HAS.size && { size: this.u64() }),
      ...(flags & HAS.owner && { uid: this.u32(), gid: this.u32() }),
      ...(flags & HAS.mode && { mode: this.u32() & 0o7777 }),
      ...(flags & HAS.times && { mtime: mtime() }),
    }
  }
}

export function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value >>> 0)
  return bytes
}

export function u64(value: number): Buffer {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64BE(BigInt(value))
  return bytes
}

export function withLength(value: string | Buffer): Buffer {
  const bytes = Buffer.from(value)
  return Buffer.concat([u32(bytes.length), bytes])
}

export function sftpPacket(type: number, ...fields: readonly Buffer[]): Buffer {
  const length = fields.reduce((sum, field) => sum + field.length, 1)
  return Buffer.concat([u32(length), Buffer.from([type]), ...fields])
}

export function attributes(node: Node): Buffer {
  const flags = HAS.size | HAS.owner | HAS.mode | HAS.times
  const mode = FILE_TYPE[node.type] | node.mode
  const time = u32(node.mtime)
  return Buffer.concat([u32(flags), u64(node.size), u32(node.uid), u32(node.gid), u32(mode), time, time])
}

/** As `ls -l` prints it, with numbers for the owners: clients show this line to people. */
export function longName(name: string, node: Node): string {
  const letter = { file: '-', directory: 'd', link: 'l', other: 'p' }[node.type]
  const bits = [...'rwxrwxrwx'].map((bit, i) => ((node.mode >> (8 - i)) & 1 ? bit : '-')).join('')
  const date = new Date(node.mtime * 1000).toISOString()
  const [owner, group] = [node.uid, node.gid].map((id) => String(id).padEnd(8))
  return `${letter}${bits}    1 ${owner} ${group} ${String(node.size).padStart(8)} ${date.slice(0, 10)} ${date.slice(11, 16)} ${name}`
}
