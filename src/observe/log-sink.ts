/**
 * Where log lines go. A full disk, a vanished file or a reader that stopped must cost log lines, never the gateway:
 * writes are asynchronous, the queue is bounded, and nothing here throws or waits without a limit. (pino's own
 * destination, sonic-boom, retries ENOSPC for ever in its flush at exit: seen with /dev/full.)
 */
import { closeSync, openSync, write, writeSync } from 'node:fs'
import { messageOf } from '../base/errors.ts'

const MAX_QUEUE_BYTES = 4 * 1024 * 1024
const RETRY_AFTER_MS = 100
const STDERR_FD = 2

export interface LogSink {
  write(line: string): void
  /** Open the file anew after logrotate moved it. */
  reopen(): void
  /** Wait until all is written, at most that long. Idempotent. */
  close(milliseconds?: number): Promise<void>
}

/** A file to append to, or standard error. `complain` tells people of a fault, once for each outage. */
export function openSink(file: string | undefined, complain: (text: string) => void): LogSink {
  let fd: number | undefined
  let queue: Buffer[] = []
  let queued = 0
  let lost = 0
  let failing = false
  let writing = false
  let moved = false
  let retry: NodeJS.Timeout | undefined
  let whenEmpty: (() => void) | undefined

  function open(path: string): number | undefined {
    try {
      return openSync(path, 'a', 0o600)
    } catch (error) {
      failed(error)
      return undefined
    }
  }

  function destination(): number | undefined {
    if (file === undefined) return STDERR_FD
    // Between two writes only: a write in flight keeps the number that it was given.
    if (moved && fd !== undefined) {
      closeSync(fd)
      fd = undefined
    }
    moved = false
    fd ??= open(file)
    return fd
  }

  function failed(error: unknown): void {
    if (failing) return
    failing = true
    const reason = messageOf(error)
    if (file !== undefined) complain(`hatchway: the log ${file} cannot be written (${reason}); running on without it`)
  }

  function enqueue(line: string): void {
    const bytes = Buffer.from(line)
    if (queued + bytes.length > MAX_QUEUE_BYTES) {
      lost++
      return
    }
    queue.push(bytes)
    queued += bytes.length
    pump()
  }

  function pump(): void {
    if (writing || retry !== undefined) return
    const first = queue[0]
    if (first === undefined) {
      whenEmpty?.()
      return
    }
    const to = destination()
    if (to === undefined) {
      later()
      return
    }
    const chunk = queue.length === 1 ? first : Buffer.concat(queue)
    queue = [chunk]
    writing = true
    write(to, chunk, (error, written) => {
      writing = false
      if (error) {
        // EAGAIN: a pipe someone else made non-blocking, merely full.
        if (error.code !== 'EAGAIN') failed(error)
        later()
        return
      }
      queued -= written
      queue[0] = chunk.subarray(written)
      if (written === chunk.length) queue.shift()
      recovered()
      pump()
    })
  }

  function later(): void {
    retry = setTimeout(() => {
      retry = undefined
      pump()
    }, RETRY_AFTER_MS).unref()
  }

  function recovered(): void {
    failing = false
    if (lost === 0) return
    const line = `${JSON.stringify({ level: 'warn', time: new Date().toISOString(), lost, msg: 'log lines were lost' })}\n`
    lost = 0
    enqueue(line)
  }

  // At once, so that a log that cannot be written is known at the start.
  destination()
  return {
    write: enqueue,
    reopen() {
      moved = true
    },
    close(milliseconds = 1_000) {
      return new Promise((resolve) => {
        if (queue.length === 0) return resolve()
        // Referenced: a process that has only this left to do must still do it.
        const limit = setTimeout(resolve, milliseconds)
        whenEmpty = () => {
          clearTimeout(limit)
          resolve()
        }
        pump()
      })
    },
  }
}

/** For the last words of a dying process; never throws. */
export function writeStderr(text: string): void {
  try {
    writeSync(STDERR_FD, `${text}\n`)
  } catch {
    // Nobody left to tell.
  }
}
