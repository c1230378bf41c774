/**
 * A file of gzip members, each whole: all up to the last one can be read at any time, whatever happens to who writes. A disk
 * that is full or broken is tried again until it takes the very bytes that it has not.
 */
import { createHash } from 'node:crypto'
import { type FileHandle, open } from 'node:fs/promises'
import { promisify } from 'node:util'
import { gzip } from 'node:zlib'
import type { RecordStream } from './manifest.ts'
import { type Patience, untilWritten } from './until-written.ts'

/** node's 16 KB would be a turn of a thread each. */
const CHUNK_BYTES = 256 * 1024

const zip = promisify(gzip)

export interface MemberFile {
  /**
   * One call at a time; the first one makes the file.
   * @param hurry the disk has room and the processor has no time: it is stored as it is
   * @throws the signal's reason
   */
  append(text: string, hurry: boolean, signal: AbortSignal): Promise<void>
  /** It is on the disk. Undefined: it was never made. @throws errno */
  close(): Promise<RecordStream | undefined>
}

/** @param turn lets so many in at once as processors should work for it */
export function createMemberFile(
  path: string,
  name: RecordStream['name'],
  patience: Patience,
  turn: <T>(work: () => Promise<T>) => Promise<T>,
): MemberFile {
  const hash = createHash('sha256')
  let handle: FileHandle | undefined
  let bytes = 0

  async function write(member: Buffer): Promise<Buffer> {
    handle ??= await open(path, 'wx', 0o600)
    const { bytesWritten } = await handle.write(member)
    hash.update(member.subarray(0, bytesWritten))
    bytes += bytesWritten
    return member.subarray(bytesWritten)
  }

  return {
    async append(text, hurry, signal) {
      let left: Buffer = await turn(() => zip(text, { level: hurry ? 0 : 1, chunkSize: CHUNK_BYTES }))
      while (left.length > 0) left = await untilWritten(() => write(left), patience, signal)
    },
    async close() {
      if (!handle) return undefined
      try {
        await handle.datasync()
      } finally {
        await handle.close()
      }
      return { name, bytes, sha256: hash.digest('hex') }
    },
  }
}
