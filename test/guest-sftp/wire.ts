/** SFTP v3 packets, written and read by hand: what a library would forbid must be sendable too. */

export const FXP = {
  INIT: 1,
  OPEN: 3,
  CLOSE: 4,
  READ: 5,
  WRITE: 6,
  LSTAT: 7,
  FSTAT: 8,
  SETSTAT: 9,
  FSETSTAT: 10,
  OPENDIR: 11,
  READDIR: 12,
  REMOVE: 13,
  MKDIR: 14,
  RMDIR: 15,
  REALPATH: 16,
  STAT: 17,
  RENAME: 18,
  READLINK: 19,
  SYMLINK: 20,
  STATUS: 101,
  HANDLE: 102,
  DATA: 103,
  NAME: 104,
  ATTRS: 105,
  EXTENDED: 200,
  EXTENDED_REPLY: 201,
} as const

export const OPEN = { READ: 1, WRITE: 2, APPEND: 4, CREAT: 8, TRUNC: 16, EXCL: 32 } as const
export const FX = { OK: 0, EOF: 1, NO_SUCH_FILE: 2, PERMISSION_DENIED: 3, FAILURE: 4, BAD_MESSAGE: 5, UNSUPPORTED: 8 }

export function u32(value: number): Buffer {
  const b = Buffer.alloc(4)
  b.writeUInt32BE(value)
  return b
}
export function u64(value: bigint | number): Buffer {
  const b = Buffer.alloc(8)
  b.writeBigUInt64BE(BigInt(value))
  return b
}
export function string(value: Buffer | string): Buffer {
  const bytes = Buffer.from(value)
  return Buffer.concat([u32(bytes.length), bytes])
}

export interface Attributes {
  readonly size?: bigint | number
  readonly owner?: readonly [uid: number, gid: number]
  readonly mode?: number
  readonly times?: readonly [atime: number, mtime: number]
}
export function attributes(a: Attributes = {}): Buffer {
  let flags = 0
  const parts: Buffer[] = []
  if (a.size !== undefined) {
    flags |= 1
    parts.push(u64(a.size))
  }
  if (a.owner) {
    flags |= 2
    parts.push(u32(a.owner[0]), u32(a.owner[1]))
  }
  if (a.mode !== undefined) {
    flags |= 4
    parts.push(u32(a.mode))
  }
  if (a.times) {
    flags |= 8
    parts.push(u32(a.times[0]), u32(a.times[1]))
  }
  return Buffer.concat([u32(flags), ...parts])
}

/** length | type | fields */
export function packet(type: number, ...fields: readonly Buffer[]): Buffer {
  const body = Buffer.concat([Buffer.from([type]), ...fields])
  return Buffer.concat([u32(body.length), body])
}

export class Reader {
  private at = 0
  constructor(private readonly bytes: Buffer) {}
  u32(): number {
    this.at += 4
    return this.bytes.readUInt32BE(this.at - 4)
  }
  u64(): bigint {
    this.at += 8
    return this.bytes.readBigUInt64BE(this.at - 8)
  }
  string(): Buffer {
    const n = this.u32()
    if (this.at + n > this.bytes.length) throw new RangeError('string passes the packet')
    this.at += n
    return this.bytes.subarray(this.at - n, this.at)
  }
  get done(): boolean {
    return this.at === this.bytes.length
  }
  attributes(): Required<Attributes> | undefined {
    const flags = this.u32()
    if (!flags) return undefined
    if (flags !== 15) throw new RangeError(`attribute flags ${flags}`)
    return {
      size: this.u64(),
      owner: [this.u32(), this.u32()],
      mode: this.u32(),
      times: [this.u32(), this.u32()],
    }
  }
}

export interface Name {
  readonly name: string
  readonly long: string
  readonly attributes: Required<Attributes> | undefined
}

/** Names as latin1: bytes one to one. */
export function readNames(body: Buffer): readonly Name[] {
  const r = new Reader(body)
  const names: Name[] = []
  for (let n = r.u32(); n > 0; n--) {
    names.push({ name: r.string().toString('latin1'), long: r.string().toString('latin1'), attributes: r.attributes() })
  }
  if (!r.done) throw new RangeError('bytes behind the last name')
  return names
}

export function readStatus(body: Buffer): { readonly code: number; readonly text: string } {
  const r = new Reader(body)
  const status = { code: r.u32(), text: r.string().toString() }
  r.string()
  if (!r.done) throw new RangeError('bytes behind the status')
  return status
}
