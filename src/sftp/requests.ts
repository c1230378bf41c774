/** Answers each request of SFTP v3 from a Tree. What an engine's copy call cannot do is refused with a sentence. */
import path from 'node:path'
import { Handles, MAX_HANDLES, type OpenFile } from './handles.ts'
import { type Space, Spools } from './spool.ts'
import type { Tree } from './tree.ts'
import { PACKET_TYPE } from './types.ts'
import { attributes, type Fields, longName, OPEN, SftpError, sftpPacket, u32, u64, withLength } from './wire.ts'

const MAX_DATA_BYTES = 255 * 1024
export const MAX_PACKET = 256 * 1024
const NAMES_AT_ONCE = 100
const MAX_PATH_BYTES = 4096
const EXTENSIONS = ['limits@openssh.com', 'expand-path@openssh.com', 'fsync@openssh.com']
const NO_CHANGE = 'needs the guest helper or an sftp-server in the container: its engine can only copy files in and out'

export class Requests {
  readonly #tree: Tree
  /** Absolute; relative names begin here. */
  readonly #home: string
  readonly #handles = new Handles()
  readonly #spools: Spools

  constructor(tree: Tree, home: string, space: Space) {
    this.#tree = tree
    this.#spools = new Spools(space)
    this.#home = home
  }

  version(): Buffer {
    return sftpPacket(PACKET_TYPE.VERSION, u32(3), ...EXTENSIONS.flatMap((name) => [withLength(name), withLength('1')]))
  }

  /** Returns the response; undefined for a mere OK. @throws SftpError, and HatchwayError if the engine is lost */
  async answer(type: number, id: Buffer, fields: Fields): Promise<Buffer | undefined> {
    const tree = this.#tree
    const handles = this.#handles
    const name = () => this.#path(fields.text())
    switch (type) {
      case PACKET_TYPE.OPEN:
        return sftpPacket(PACKET_TYPE.HANDLE, id, await this.#open(name(), fields.u32(), fields))
      case PACKET_TYPE.CLOSE:
        return this.#close(fields)
      case PACKET_TYPE.READ:
        return this.#read(handles.file(fields), fields.u64(), fields.u32(), id)
      case PACKET_TYPE.WRITE:
        return this.#write(handles.file(fields), fields)
      case PACKET_TYPE.STAT:
        return sftpPacket(PACKET_TYPE.ATTRS, id, attributes(await tree.stat(name())))
      case PACKET_TYPE.LSTAT:
        return sftpPacket(PACKET_TYPE.ATTRS, id, attributes(await tree.lstat(name())))
      case PACKET_TYPE.FSTAT: {
        const open = handles.file(fields)
        return sftpPacket(PACKET_TYPE.ATTRS, id, attributes({ ...open.node, size: open.spool.size }))
      }
      case PACKET_TYPE.SETSTAT:
        return void (await tree.change(name(), fields.changes(), () => this.#spools.make()))
      case PACKET_TYPE.FSETSTAT: {
        const open = writable(handles.file(fields))
        const { size, ...changes } = fields.changes()
        if (size !== undefined) await fill(open, () => open.spool.truncate(size))
        open.node = tree.changed(open.node, changes)
        open.changed = true
        return undefined
      }
      case PACKET_TYPE.OPENDIR:
        this.#room()
        return sftpPacket(PACKET_TYPE.HANDLE, id, handles.add({ kind: 'directory', entries: await tree.list(name()) }))
      case PACKET_TYPE.READDIR: {
        const entries = handles.directory(fields).entries.splice(0, NAMES_AT_ONCE)
        if (entries.length === 0) throw new SftpError('eof', 'End of file')
        const rows = entries.flatMap(([n, node]) => [withLength(n), withLength(longName(n, node)), attributes(node)])
        return sftpPacket(PACKET_TYPE.NAME, id, u32(entries.length), ...rows)
      }
      case PACKET_TYPE.MKDIR:
        return void (await tree.mkdir(name(), fields.changes().mode))
      case PACKET_TYPE.REALPATH:
        return nameOnly(id, name())
      case PACKET_TYPE.READLINK: {
        const node = await tree.lstat(name())
        if (node.type !== 'link') throw new SftpError('failure', 'Not a link')
        return nameOnly(id, node.target ?? '')
      }
      case PACKET_TYPE.SYMLINK: {
        // OpenSSH sends the target first, against the draft (its PROTOCOL, 4.1), and everybody follows it.
        const target = fields.text()
        return void (await tree.symlink(name(), target))
      }
      case PACKET_TYPE.REMOVE:
      case PACKET_TYPE.RMDIR:
      case PACKET_TYPE.RENAME:
        throw new SftpError('unsupported', `removing and renaming ${NO_CHANGE}`)
      case PACKET_TYPE.EXTENDED:
        return this.#extended(fields.text(), id, fields)
      default:
        throw new SftpError('unsupported', 'unknown request')
    }
  }

  async close(): Promise<void> {
    await this.#handles.close()
  }

  #path(name: string): string {
    if (name.length > MAX_PATH_BYTES) throw new SftpError('failure', 'File name too long')
    return path.posix.resolve(this.#home, name)
  }

  #room(): void {
    if (this.#handles.full) throw new SftpError('failure', 'too many open files')
  }

  async #open(name: string, flags: number, fields: Fields): Promise<Buffer> {
    this.#room()
    const mode = fields.changes().mode
    const [reads, writes] = [(flags & OPEN.read) !== 0, (flags & OPEN.write) !== 0]
    const how = { create: (flags & OPEN.create) !== 0, exclusive: (flags & OPEN.exclusive) !== 0 }
    const place = writes ? await this.#tree.place(name, how, mode) : undefined
    const kept = !place || (place.exists && (flags & OPEN.truncate) === 0)
    const spool = await this.#spools.make()
    try {
      const found = kept ? await this.#tree.read(name, spool) : undefined
      const [file, node] = place ? [place.file, place.node] : [name, found]
      if (!node) throw new SftpError('failure', 'neither read nor write')
      const appends = (flags & OPEN.append) !== 0
      return this.#handles.add({
        kind: 'file',
        file,
        node,
        spool,
        reads,
        writes,
        appends,
        changed: !kept,
        failed: false,
      })
    } catch (error) {
      await spool.close()
      throw error
    }
  }

  /** Puts the file: all of it, or nothing if a write failed. A file that is never closed is never put. */
  async #close(fields: Fields): Promise<undefined> {
    const { open, drop } = this.#handles.take(fields)
    drop()
    if (open.kind !== 'file') return
    try {
      if (open.failed) throw new SftpError('failure', 'it was not written whole, so nothing of it was put')
      if (open.changed) await this.#tree.write(open.file, open.node, open.spool)
    } finally {
      await open.spool.close()
    }
  }

  async #read(open: OpenFile, offset: number, length: number, id: Buffer): Promise<Buffer> {
    if (!open.reads) throw new SftpError('denied', 'not open for reading')
    const data = await open.spool.read(offset, Math.min(length, MAX_DATA_BYTES))
    if (data.length === 0) throw new SftpError('eof', 'End of file')
    return sftpPacket(PACKET_TYPE.DATA, id, withLength(data))
  }

  async #write(open: OpenFile, fields: Fields): Promise<undefined> {
    await fill(writable(open), () => {
      const [offset, data] = [fields.u64(), fields.bytes()]
      return open.spool.write(open.appends ? open.spool.size : offset, data)
    })
    open.changed = true
  }

  #extended(what: string, id: Buffer, fields: Fields): Buffer | undefined {
    switch (what) {
      case 'limits@openssh.com':
        return sftpPacket(
          PACKET_TYPE.EXTENDED_REPLY,
          id,
          ...[MAX_PACKET, MAX_DATA_BYTES, MAX_DATA_BYTES, MAX_HANDLES].map(u64),
        )
      case 'expand-path@openssh.com':
        return nameOnly(id, this.#path(this.#expand(fields.text())))
      case 'fsync@openssh.com':
        // Nothing reaches the container before CLOSE.
        return void this.#handles.file(fields)
      default:
        throw new SftpError('unsupported', `${what} ${NO_CHANGE}`)
    }
  }

  #expand(name: string): string {
    if (name === '~' || name.startsWith('~/')) return `.${name.slice(1)}`
    if (name.startsWith('~')) throw new SftpError('failure', 'only ~/ is known here, no home of others')
    return name
  }
}

function writable(open: OpenFile): OpenFile {
  if (!open.writes) throw new SftpError('denied', 'not open for writing')
  return open
}

/** Clients go on to CLOSE after a failed WRITE (OpenSSH's sftp-client.c also truncates to what it has sent). */
async function fill(open: OpenFile, act: () => Promise<void>): Promise<void> {
  try {
    await act()
  } catch (error) {
    open.failed = true
    throw error
  }
}

function nameOnly(id: Buffer, name: string): Buffer {
  return sftpPacket(PACKET_TYPE.NAME, id, u32(1), withLength(name), withLength(name), u32(0))
}
