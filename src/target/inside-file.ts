/**
 * A small file of a container, read without running anything in it: through the engine's copy call, so an image without
 * `cat` works, and a FIFO in its place hangs nobody.
 */
import path from 'node:path'
import type { Engine } from '../engine/engine.ts'
import { HatchwayError } from '../errors.ts'
import { firstEntry } from '../tar.ts'

/** Some 250,000 users. The whole of it is in memory for a moment. */
const MAX_BYTES = 16 * 1024 * 1024
const MAX_LINKS = 8

/** What was looked at on the way to the content. While each is what it was, the content is, too. */
export interface Seen {
  readonly path: string
  readonly stat: string
}

export interface InsideFile {
  /** Undefined: there is no such regular file. */
  readonly content: Buffer | undefined
  /** Empty where the engine cannot tell. */
  readonly seen: readonly Seen[]
}

/** Links are followed inside the container. @throws HatchwayError USER_BROKEN where it is too large, ENGINE_* */
export async function readInside(
  engine: Engine,
  container: { readonly id: string; readonly name: string },
  file: string,
  signal: AbortSignal,
): Promise<InsideFile> {
  const seen: Seen[] = []
  let current = file
  for (let hops = 0; hops < MAX_LINKS; hops++) {
    // Before it is read: what is written in between makes it another file.
    const stat = await engine.statPath?.(container.id, current, signal)
    if (stat !== undefined) seen.push({ path: current, stat })
    const tar = await engine.copyOut(container.id, current, MAX_BYTES, signal)
    // Of a part of it nobody can say who is not in it.
    if (tar && tar.length >= MAX_BYTES) {
      const limit = `${MAX_BYTES / 1024 / 1024} MiB`
      throw new HatchwayError('USER_BROKEN', `${file} in container ${container.name} is larger than ${limit}: refused`)
    }
    const entry = tar && firstEntry(tar)
    if (entry?.type === 'file') return { content: entry.content, seen: seen.length === hops + 1 ? seen : [] }
    if (entry?.type !== 'link') break
    current = path.posix.resolve(path.posix.dirname(current), entry.target)
  }
  return { content: undefined, seen: [] }
}

/** Whether it would be read as before, asked without reading anything. */
export async function unchanged(
  engine: Engine,
  containerId: string,
  seen: readonly Seen[],
  signal: AbortSignal,
): Promise<boolean> {
  for (const { path, stat } of seen) {
    if ((await engine.statPath?.(containerId, path, signal)) !== stat) return false
  }
  return seen.length > 0
}
