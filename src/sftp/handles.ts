/** Open files and directories of one SFTP session, by handle. A closed handle is not used again. */
import type { Spool } from './spool.ts'
import { type Fields, type Node, SftpError, withLength } from './wire.ts'

export interface OpenFile {
  readonly kind: 'file'
  readonly file: string
  /** The file as it will be written; its size is the spool's. */
  node: Node
  readonly spool: Spool
  readonly reads: boolean
  readonly writes: boolean
  readonly appends: boolean
  /** It is put at CLOSE. */
  changed: boolean
  /** A part of its content could not be stored: it is never put. */
  failed: boolean
}

export interface OpenDirectory {
  readonly kind: 'directory'
  readonly entries: [string, Node][]
}

export type Open = OpenFile | OpenDirectory

export const MAX_HANDLES = 64

export class Handles {
  readonly #open = new Map<number, Open>()
  #last = 0

  get full(): boolean {
    return this.#open.size >= MAX_HANDLES
  }

  add(open: Open): Buffer {
    this.#last += 1
    this.#open.set(this.#last, open)
    return withLength(String(this.#last))
  }

  take(fields: Fields): { readonly open: Open; drop(): void } {
    const text = fields.bytes().toString('latin1')
    const id = /^[1-9]\d{0,15}$/.test(text) ? Number(text) : 0
    const open = this.#open.get(id)
    if (!open) throw new SftpError('failure', 'no such handle')
    return { open, drop: () => void this.#open.delete(id) }
  }

  file(fields: Fields): OpenFile {
    const { open } = this.take(fields)
    if (open.kind !== 'file') throw new SftpError('failure', 'not a handle of a file')
    return open
  }

  directory(fields: Fields): OpenDirectory {
    const { open } = this.take(fields)
    if (open.kind !== 'directory') throw new SftpError('failure', 'not a handle of a directory')
    return open
  }

  async close(): Promise<void> {
    const all = [...this.#open.values()]
    this.#open.clear()
    for (const open of all) if (open.kind === 'file') await open.spool.close()
  }
}
