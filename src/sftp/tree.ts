/**
 * What a user may do with a container's files through calls that act as root: links are followed, the permission bits of
 * the name itself count. That spares users mistakes and is no border: only the policy says who may act as root.
 */
import path from 'node:path'
import type { Files } from './archive-files.ts'
import type { Spool } from './spool.ts'
import { type Changes, type Node, SftpError } from './wire.ts'

export interface SftpUser {
  readonly uid: number
  readonly gid: number
}

const MAX_LINKS = 40
const UMASK = 0o022
const READ = 4
const WRITE = 2

export class Tree {
  readonly #files: Files
  readonly #who: SftpUser
  readonly #readOnly: boolean

  constructor(files: Files, who: SftpUser, readOnly: boolean) {
    this.#files = files
    this.#who = who
    this.#readOnly = readOnly
  }

  /** @throws SftpError noSuchFile */
  async lstat(file: string): Promise<Node> {
    const node = await this.#files.lstat(file)
    if (!node) throw new SftpError('noSuchFile', 'No such file')
    return node
  }

  /** Returns where a name leads; `node` is undefined if nothing is there yet. */
  async #follow(file: string): Promise<{ readonly file: string; readonly node: Node | undefined }> {
    let at = file
    for (let hops = 0; hops < MAX_LINKS; hops++) {
      const node = await this.#files.lstat(at)
      if (node?.type !== 'link') return { file: at, node }
      at = path.posix.resolve(path.posix.dirname(at), node.target ?? '')
    }
    throw new SftpError('failure', 'Too many levels of symbolic links')
  }

  async stat(file: string): Promise<Node> {
    const { node } = await this.#follow(file)
    if (!node) throw new SftpError('noSuchFile', 'No such file')
    return node
  }

  async list(directory: string): Promise<[string, Node][]> {
    const { file, node } = await this.#follow(directory)
    if (!node) throw new SftpError('noSuchFile', 'No such file')
    if (node.type !== 'directory') throw new SftpError('failure', 'Not a directory')
    this.#may(node, READ)
    return [['.', node], ['..', node], ...(await this.#files.list(file))]
  }

  async read(name: string, into: Spool): Promise<Node> {
    const { file, node } = await this.#follow(name)
    const found = regular(node)
    this.#may(found, READ)
    await this.#files.read(file, into)
    return found
  }

  /** Returns what a write to that name would replace or make. */
  async place(name: string, how: { create: boolean; exclusive: boolean }, mode = 0o666) {
    this.#mayChange()
    const { file, node } = await this.#follow(name)
    if (node) {
      if (how.create && how.exclusive) throw new SftpError('failure', 'File exists')
      this.#may(regular(node), WRITE)
      return { file, node, exists: true }
    }
    if (!how.create) throw new SftpError('noSuchFile', 'No such file')
    await this.#mayMakeIn(path.posix.dirname(file))
    return { file, node: this.#made('file', mode), exists: false }
  }

  write(file: string, node: Node, content: Spool): Promise<void> {
    return this.#files.put(file, { ...node, size: content.size }, content)
  }

  async mkdir(directory: string, mode = 0o777): Promise<void> {
    await this.#make(directory, this.#made('directory', mode))
  }

  async symlink(file: string, target: string): Promise<void> {
    await this.#make(file, { ...this.#made('link', 0o777), target })
  }

  async #make(file: string, node: Node): Promise<void> {
    this.#mayChange()
    if (await this.#files.lstat(file)) throw new SftpError('failure', 'File exists')
    await this.#mayMakeIn(path.posix.dirname(file))
    await this.#files.put(file, node)
  }

  /** Changes a file that is not open by reading and putting it again: a tar cannot change attributes alone. */
  async change(name: string, changes: Changes, spool: () => Promise<Spool>): Promise<void> {
    this.#mayChange()
    const { file, node } = await this.#follow(name)
    if (!node) throw new SftpError('noSuchFile', 'No such file')
    const { size, ...attributes } = changes
    const changed = this.changed(node, attributes)
    if (size !== undefined) this.#may(node, WRITE)
    if (node.type === 'directory') return this.#files.put(file, changed)
    regular(node)
    const content = await spool()
    try {
      await this.#files.read(file, content)
      if (size !== undefined) await content.truncate(size)
      await this.write(file, changed, content)
    } finally {
      await content.close()
    }
  }

  /** @throws SftpError denied */
  changed(node: Node, changes: Omit<Changes, 'size'>): Node {
    const { uid } = this.#who
    const gives = (changes.uid ?? node.uid) !== node.uid || (changes.gid ?? node.gid) !== node.gid
    if (uid !== 0 && (gives || (uid !== node.uid && Object.keys(changes).length > 0))) throw denied()
    return { ...node, ...changes }
  }

  #made(type: Node['type'], mode: number): Node {
    const mtime = Math.floor(Date.now() / 1000)
    const { uid, gid } = this.#who
    return { type, mode: mode & 0o7777 & ~UMASK, uid, gid, size: 0, mtime }
  }

  #mayChange(): void {
    if (this.#readOnly) throw denied()
  }

  async #mayMakeIn(directory: string): Promise<void> {
    const { node } = await this.#follow(directory)
    if (!node) throw new SftpError('noSuchFile', 'No such file')
    if (node.type !== 'directory') throw new SftpError('failure', 'Not a directory')
    this.#may(node, WRITE)
  }

  #may(node: Node, want: number): void {
    const { uid, gid } = this.#who
    if (uid === 0) return
    const bits = uid === node.uid ? node.mode >> 6 : gid === node.gid ? node.mode >> 3 : node.mode
    if ((bits & want) === 0) throw denied()
  }
}

/** Refuses all but regular files: a put replaces what has the name, and /dev/null would become a file. */
function regular(node: Node | undefined): Node {
  if (!node) throw new SftpError('noSuchFile', 'No such file')
  if (node.type !== 'file') {
    throw new SftpError('failure', node.type === 'directory' ? 'Is a directory' : 'Not a regular file')
  }
  return node
}

function denied(): SftpError {
  return new SftpError('denied', 'Permission denied')
}
