/**
 * A small file of a container. Through the engine's copy call nothing runs inside for it, an image needs no `head`, and a
 * FIFO in its place hangs nobody; but in a container with volumes an exec comes first, which touches none of them, and
 * where the engine has no copy call there is nothing else.
 */
import path from 'node:path'
import { HatchwayError, undefinedIf } from '../base/errors.ts'
import { firstEntry } from '../bytes/tar.ts'
import { copyMayHang } from '../engine/copy-may-hang.ts'
import { type Container, type Copies, type Engine, engineOf } from '../engine/engine.ts'
import { runOwnScript } from './own-script.ts'

/** Some 60,000 users. It is in memory three times for a moment (chunks, file, text), and searched by everybody's one thread. */
const MAX_BYTES = 4 * 1024 * 1024
/** Headers, padding and end of a tar with one file. */
const TAR_OVERHEAD_BYTES = 16 * 1024
const MAX_LINKS = 8

/** $1 the file, $2 how much of it. Root's exec: only a process that is root inside already can forge the answer. */
const READ = '[ -f "$1" ] || exit 3; exec head -c "$2" "$1"'
const READER = '0:0'
const NO_SUCH_FILE = 3

/** What was looked at on the way to the content. While each is what it was, the content is, too. */
export interface Seen {
  readonly path: string
  readonly stat: string
}

export interface InsideFile {
  /** Undefined: there is no such regular file. */
  readonly content: Buffer | undefined
  /** Empty where nothing tells but to read it again: the engine cannot, or it was read by an exec. */
  readonly seen: readonly Seen[]
}

type Where = Pick<Container, 'id' | 'name' | 'state' | 'mounts'>

/** Links are followed inside the container. @throws HatchwayError USER_BROKEN where it is too large, ENGINE_* */
export async function readInside(
  engine: Engine,
  container: Where,
  file: string,
  signal: AbortSignal,
  maxBytes = MAX_BYTES,
): Promise<InsideFile> {
  const asked = { engine, container, file, maxBytes, signal }
  const { copies } = engineOf(engine, container.id)
  if (copies === undefined && container.state !== 'running') throw unreadable(container)
  const byExec = copies === undefined || copyMayHang(container)
  const said = byExec && container.state === 'running' && (await readByExec(asked))
  return said || (copies ? readByCopy(copies, asked) : { content: undefined, seen: [] })
}

interface Asked {
  readonly engine: Engine
  readonly container: Where
  readonly file: string
  readonly maxBytes: number
  readonly signal: AbortSignal
}

/** Undefined: there is no shell to ask, or none of the usual kind. */
async function readByExec({ engine, container, file, maxBytes, signal }: Asked): Promise<InsideFile | undefined> {
  const user = engineOf(engine, container.id).carries?.user === 'none' ? '' : READER
  const about = { script: READ, args: [file, String(maxBytes + 1)], user, maxBytes }
  const { code, out } = await runOwnScript(engine, container.id, about, signal)
  if (out.length > maxBytes) throw tooLarge(file, container, maxBytes)
  if (code === NO_SUCH_FILE) return { content: undefined, seen: [] }
  return code === 0 ? { content: out, seen: [] } : undefined
}

async function readByCopy(copies: Copies, { container, file, maxBytes, signal }: Asked): Promise<InsideFile> {
  const seen: Seen[] = []
  let current = file
  for (let hops = 0; hops < MAX_LINKS; hops++) {
    // Before it is read: what is written in between makes it another file. Where it is not told, what then comes of the file
    // itself is an answer, or says why there is none.
    const stat = await copies.statPath?.(container.id, current, signal).catch(undefinedIf('ENGINE_ERROR'))
    if (stat !== undefined) seen.push({ path: current, stat })
    const tar = await copies.copyOut(container.id, current, maxBytes + TAR_OVERHEAD_BYTES, signal)
    if (tar && tar.length >= maxBytes + TAR_OVERHEAD_BYTES) throw tooLarge(file, container, maxBytes)
    const entry = tar && firstEntry(tar)
    if (entry?.type === 'file' && entry.content.length > maxBytes) throw tooLarge(file, container, maxBytes)
    if (entry?.type === 'file') return { content: entry.content, seen: seen.length === hops + 1 ? seen : [] }
    if (entry?.type !== 'link') break
    current = path.posix.resolve(path.posix.dirname(current), entry.target)
  }
  return { content: undefined, seen: [] }
}

/** A part of the file does not tell which users are missing in it. */
function tooLarge(file: string, { name }: Where, maxBytes: number): HatchwayError {
  const limit = `${maxBytes / 1024 / 1024} MiB`
  return new HatchwayError('USER_BROKEN', `${file} in container ${name} is larger than ${limit}: refused`)
}

function unreadable({ name }: Where): HatchwayError {
  const why = 'and its engine reads no files of one that does not'
  return new HatchwayError('CONTAINER_NOT_RUNNING', `container ${name} does not run, ${why}`)
}

/** Whether it would be read as before, asked without reading anything. */
export async function unchanged(
  engine: Engine,
  containerId: string,
  seen: readonly Seen[],
  signal: AbortSignal,
): Promise<boolean> {
  const { copies } = engineOf(engine, containerId)
  for (const { path, stat } of seen) {
    if ((await copies?.statPath?.(containerId, path, signal)) !== stat) return false
  }
  return seen.length > 0
}
