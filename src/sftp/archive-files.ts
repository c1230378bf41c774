/**
 * The files of a container through its engine's copy call, for containers that run no helper: no shell inside is needed,
 * and the container may be stopped. The call reads and writes tars, as root; it can neither remove nor rename.
 */
import path from 'node:path'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import * as tar from 'tar-stream'
import { causeText, HatchwayError, isFailure } from '../base/errors.ts'
import type { Copies } from '../engine/engine.ts'
import { BoundedMap } from '../lifetime/bounded-map.ts'
import { isTimeout, openDeadline, withDeadline } from '../lifetime/deadline.ts'
import type { Spool } from './spool.ts'
import { type Node, SftpError } from './wire.ts'

/** The archive of a directory holds everything below it: a tree of more names is not listed this way. */
const MAX_ENTRIES = 100_000
type Entry = tar.Extract extends AsyncIterable<infer E> ? E : never

const CALL_MS = 10 * 60_000
const LIST_MS = 60_000
const MAX_FOLDERS = 1000
/** How long the entries of one archive are reused: a recursive copy asks for each directory and each file. */
const FRESH_MS = 5_000

export interface Files {
  /** Returns the node of the name itself, following no link; undefined if there is none. */
  lstat(file: string): Promise<Node | undefined>
  list(directory: string): Promise<ReadonlyMap<string, Node>>
  read(file: string, into: Spool): Promise<void>
  /** Makes or replaces a file with its content, a directory (what is in it stays), or a link. */
  put(file: string, node: Node, content?: Spool): Promise<void>
}

export function archiveFiles(copies: Copies, containerId: string, closed: AbortSignal): Files {
  /** The tree that was listed last, by absolute path. */
  let known: { readonly nodes: Map<string, Node>; readonly until: number } | undefined

  /** Directories seen lately: each file that is put asks for its directory. */
  const folders = new BoundedMap<string, { readonly node: Node; readonly until: number }>(MAX_FOLDERS)

  function remember(file: string, node: Node): void {
    folders.delete(file)
    if (node.type === 'directory') folders.set(file, { node, until: Date.now() + FRESH_MS })
  }

  /** Yields entries in the archive's order; leaving the loop closes the engine's stream. */
  async function* entries(file: string, limit: number): AsyncGenerator<Entry> {
    closed.throwIfAborted()
    const { signal, release } = openDeadline(limit, closed)
    const extract = tar.extract()
    try {
      const source = await copies.readArchive(containerId, file, signal)
      if (!source) return
      const flow = pipeline(source, extract, { signal })
      flow.catch(() => undefined)
      for await (const entry of extract) yield entry
      await flow
    } catch (error) {
      closed.throwIfAborted()
      throw asSftpError(error)
    } finally {
      release()
      // The pipeline destroys its source with it.
      extract.destroy()
    }
  }

  /** Returns the last listing if it has the children of this name: names that lead through a link are not in it. */
  function listed(directory: string): ReadonlyMap<string, Node> | undefined {
    if (!known || known.until <= Date.now()) return undefined
    return known.nodes.get(directory)?.type === 'directory' ? known.nodes : undefined
  }

  return {
    async lstat(file) {
      const nodes = file === '/' ? listed(file) : listed(path.posix.dirname(file))
      if (nodes) return nodes.get(file)
      const folder = folders.get(file)
      if (folder && folder.until > Date.now()) return folder.node
      for await (const entry of entries(file, LIST_MS)) {
        const node = nodeOf(entry.header)
        remember(file, node)
        return node
      }
      return undefined
    },

    async list(directory) {
      const nodes = listed(directory) ?? (await readTree(directory))
      const prefix = directory === '/' ? '/' : `${directory}/`
      const children = new Map<string, Node>()
      for (const [file, node] of nodes) {
        if (file.startsWith(prefix) && file.length > prefix.length && !file.includes('/', prefix.length)) {
          children.set(file.slice(prefix.length), node)
        }
      }
      return children
    },

    async read(file, into) {
      for await (const entry of entries(file, CALL_MS)) {
        let at = 0
        for await (const piece of contentOf(entry)) {
          await into.write(at, piece)
          at += piece.length
        }
        return
      }
      throw new SftpError('noSuchFile', 'no such file')
    },

    async put(file, node, content) {
      known = undefined
      const pack = tar.pack()
      const header = headerOf(path.posix.basename(file), node)
      const fill = async (signal: AbortSignal) => {
        if (node.type === 'file') {
          const entry = pack.entry({ ...header, type: 'file', size: content?.size ?? 0 })
          await pipeline(Readable.from(content?.content() ?? []), entry, { signal })
        } else if (node.type === 'directory') pack.entry({ ...header, type: 'directory' })
        else pack.entry({ ...header, type: 'symlink', linkname: node.target ?? '' })
        pack.finalize()
      }
      // If both fail, the engine's error says why. The session's end does not cut a put: half an archive is half a file.
      const [put, filled] = await withDeadline(CALL_MS, [], (signal) => {
        const sent = copies.writeArchive(containerId, path.posix.dirname(file), Readable.from(pack), signal)
        return Promise.allSettled([sent.finally(() => pack.destroy()), fill(signal)])
      })
      if (put.status === 'rejected') throw asSftpError(put.reason)
      if (filled.status === 'rejected') throw filled.reason
      remember(file, node)
    },
  }

  async function readTree(root: string): Promise<Map<string, Node>> {
    const nodes = new Map<string, Node>()
    const parent = path.posix.dirname(root)
    for await (const { header } of timed(entries(root, LIST_MS))) {
      // Entries are named from the last part of the root on; "/" itself is "/" or ".".
      const file = root === '/' ? path.posix.resolve('/', header.name) : path.posix.resolve(parent, header.name)
      if (file !== root && !file.startsWith(root === '/' ? '/' : `${root}/`)) continue
      nodes.set(file, nodeOf(header))
      if (nodes.size > MAX_ENTRIES) {
        throw new SftpError(
          'failure',
          `more than ${MAX_ENTRIES} files below it: too many to list without the guest helper`,
        )
      }
    }
    known = { nodes, until: Date.now() + FRESH_MS }
    return nodes
  }
}

async function* contentOf(entry: Entry): AsyncGenerator<Buffer> {
  try {
    yield* entry as AsyncIterable<Buffer>
  } catch (error) {
    throw asSftpError(error)
  }
}

/** Skips the content of each entry. */
async function* timed(source: AsyncGenerator<Entry>): AsyncGenerator<Entry> {
  for await (const entry of source) {
    entry.resume()
    yield entry
  }
}

const TYPES = {
  file: 'file',
  'contiguous-file': 'file',
  link: 'file',
  directory: 'directory',
  symlink: 'link',
} as const

function nodeOf(header: tar.Header): Node {
  const type = header.type in TYPES ? TYPES[header.type as keyof typeof TYPES] : 'other'
  const { mode, size, mtime, linkname } = header
  return {
    type,
    mode: mode & 0o7777,
    uid: idOf(header, 'uid'),
    gid: idOf(header, 'gid'),
    size,
    mtime: Math.max(0, Math.floor(mtime.getTime() / 1000)),
    ...(type === 'link' && { target: linkname }),
  }
}

/** A number too large for six octal digits, or for a signed time, stands in a record before the header: pax(1). */
const MAX_ID = 0o777777
const MAX_TIME = 0x7fff_ffff

function headerOf(name: string, { mode, uid, gid, mtime }: Node) {
  const pax = {
    ...(uid > MAX_ID && { uid: String(uid) }),
    ...(gid > MAX_ID && { gid: String(gid) }),
    ...(mtime > MAX_TIME && { mtime: String(mtime) }),
  }
  const time = new Date(Math.min(mtime, MAX_TIME) * 1000)
  return { name, mode, uid, gid, mtime: time, ...(Object.keys(pax).length > 0 && { pax }) }
}

function idOf({ pax, ...header }: tar.Header, key: 'uid' | 'gid'): number {
  const record = typeof pax === 'object' && pax !== null ? String(Reflect.get(pax, key)) : ''
  return Math.min(/^\d{1,10}$/.test(record) ? Number(record) : header[key], 0xffff_ffff)
}

/** The engine's failures. Those of the container (it is gone) end the session, as in other sessions. */
const ANSWERED = new Set<string>(['ENGINE_ERROR', 'ENGINE_LOST', 'ENGINE_UNAVAILABLE'])

/** Turns a failure into the response to its request: the next request may succeed. */
function asSftpError(error: unknown): unknown {
  if (error instanceof SftpError) return error
  if (isTimeout(error) || isFailure(error, 'ENGINE_TIMEOUT')) {
    return new SftpError('failure', 'the container engine did not answer in time')
  }
  // The stream broke, or is no archive.
  if (!(error instanceof HatchwayError)) return new SftpError('failure', 'the container engine broke off')
  if (!ANSWERED.has(error.code)) return error
  return new SftpError('failure', /no space left/i.test(causeText(error)) ? 'No space left on device' : error.message)
}
