/**
 * Reads along with scp's old protocol (OpenSSH's scp.c, source() and sink()): one side sends a line for each file, folder
 * and time, and the bytes of files; the other answers each with a byte. Both may be hostile. Memory is bounded: lines,
 * depth and what is not answered yet have limits. Where the two do not fit together that is said, and the rest is not followed.
 */
import { type ContentHash, createContentHashes, type TakeBytes } from './content-hash.ts'
import type { FileTap } from './file-tap.ts'
import type { SftpOperation, SftpResult } from './operations.ts'
import type { ScpCommand } from './scp-command.ts'

/** Mode, size and a path of Linux's length. */
const MAX_LINE_BYTES = 4096 + 64
const MAX_DEPTH = 64
/** Lines and files that a sender may be ahead of the answers. */
const MAX_UNANSWERED = 1024
const NEWLINE = 10
/** "C0644 1234 name", "D0755 0 name" */
const ENTRY = /^([CD])[0-7]{4,5} (\d{1,15}) ([^/]+)$/s

interface ScpFile {
  readonly path: string
  readonly size: number
  readonly content: ContentHash | undefined
  readonly take: TakeBytes | undefined
  bytes: number
  sha256?: string | undefined
  /** The sender could not read all of it. */
  isBroken?: boolean
}

/** What an answer is to. The receiving side's first one says that it is ready. */
type Asked = 'ready' | 'line' | 'folder' | { readonly offered: ScpFile } | { readonly sent: ScpFile }

/** What is said is not the protocol. */
class NotScp extends Error {}

/** @param withHashes also what the files had in them, as SHA-256 */
export function createScpTap(
  { direction, given }: ScpCommand,
  tell: (operation: SftpOperation) => void,
  withHashes = false,
): FileTap {
  const contentHash = withHashes ? createContentHashes() : undefined
  const folders: string[] = []
  const asked: Asked[] = ['ready']
  let line = Buffer.alloc(0)
  /** Whose bytes come now, and behind them whether the sender could read them. */
  let current: ScpFile | undefined
  /** Of what the receiving side says about its no; undefined: it says nothing. */
  let sentenceBytes: number | undefined
  let isOver = false

  function report(file: ScpFile, result: SftpResult): void {
    const { path, size, bytes, sha256 } = file
    const isOut = direction === 'out'
    const isPartial = bytes < size || (withHashes && bytes > 0 && sha256 === undefined)
    tell({
      ...{ name: isOut ? 'download' : 'upload', path, given, size },
      ...{ bytesRead: isOut ? bytes : 0, bytesWritten: isOut ? 0 : bytes },
      ...(sha256 !== undefined && { [isOut ? 'sha256Read' : 'sha256Written']: sha256 }),
      ...(isPartial && { partial: true }),
      result,
    })
  }

  function ask(one: Asked): void {
    if (asked.push(one) > MAX_UNANSWERED) throw new NotScp()
  }

  function offered(text: string): void {
    const [, kind, digits = '', name = ''] = ENTRY.exec(text) ?? []
    if (kind === 'C') {
      const size = Number(digits)
      const content = contentHash?.()
      current = { path: [...folders, name].join('/'), size, content, take: content?.next(0, size), bytes: 0 }
      ask({ offered: current })
    } else if (kind === 'D' && folders.length < MAX_DEPTH) {
      folders.push(name)
      ask('folder')
    } else throw new NotScp()
  }

  function sent(file: ScpFile, isBroken: boolean): void {
    file.sha256 = file.content?.end(file.bytes)
    file.isBroken = isBroken
    current = undefined
    ask({ sent: file })
  }

  /** A line of the sender, without its newline. */
  function heard(text: string): void {
    const kind = text[0]
    const isTrouble = kind === '\u0001' || kind === '\u0002'
    if (current && !isTrouble) throw new NotScp()
    if (current) sent(current, true)
    else if (kind === 'E') {
      folders.pop()
      ask('line')
    } else if (kind === 'T') ask('line')
    // Nobody answers to the trouble of a sender.
    else if (!isTrouble) offered(text)
  }

  function source(chunk: Buffer): void {
    for (let at = 0; at < chunk.length; ) {
      const left = current ? current.size - current.bytes : 0
      if (current && left > 0) {
        const piece = chunk.subarray(at, at + left)
        current.take?.(piece)
        current.bytes += piece.length
        at += piece.length
      } else if (current && line.length === 0 && chunk[at] === 0) {
        sent(current, false)
        at++
      } else {
        const lineEnd = chunk.indexOf(NEWLINE, at)
        const end = lineEnd < 0 ? chunk.length : lineEnd
        if (line.length + end - at > MAX_LINE_BYTES) throw new NotScp()
        const text = Buffer.concat([line, chunk.subarray(at, end)])
        at = end + 1
        line = lineEnd < 0 ? text : Buffer.alloc(0)
        if (lineEnd >= 0) heard(text.toString())
      }
    }
  }

  function sink(chunk: Buffer): void {
    for (const byte of chunk) {
      if (sentenceBytes !== undefined) {
        sentenceBytes = byte === NEWLINE ? undefined : sentenceBytes + 1
        if (sentenceBytes !== undefined && sentenceBytes > MAX_LINE_BYTES) throw new NotScp()
      } else {
        if (byte > 2) throw new NotScp()
        if (byte > 0) sentenceBytes = 0
        answered(byte === 0)
      }
    }
  }

  function answered(isYes: boolean): void {
    const one = asked.shift()
    if (one === undefined) throw new NotScp()
    if (typeof one === 'string') {
      if (isYes || one !== 'folder') return
      // The sender leaves a folder out that is not taken, if it waited.
      if (asked.length > 0 || current) throw new NotScp()
      folders.pop()
    } else if ('sent' in one) report(one.sent, isYes && !one.sent.isBroken ? 'OK' : 'FAILURE')
    else if (!isYes) {
      // Its bytes are under way: the other side reads them as lines, and who knows what it makes of them.
      if (one.offered !== current || current.bytes > 0) throw new NotScp()
      current = undefined
      one.offered.content?.spoil()
      report(one.offered, 'FAILURE')
    }
  }

  /** What nobody has answered. */
  function finish(): void {
    isOver = true
    for (const one of asked) if (typeof one === 'object' && 'sent' in one) report(one.sent, 'UNKNOWN')
    if (!current) return
    current.content?.spoil()
    report(current, 'UNKNOWN')
  }

  function follow(side: (chunk: Buffer) => void, chunk: Buffer): void {
    if (isOver) return
    try {
      side(chunk)
    } catch (error) {
      if (!(error instanceof NotScp)) throw error
      finish()
      tell({ name: 'unfollowed', path: given, result: 'BAD_MESSAGE' })
    }
  }

  const [client, program] = direction === 'in' ? [source, sink] : [sink, source]
  return {
    input: (chunk) => follow(client, chunk),
    output(fd, chunk) {
      if (fd === 1) follow(program, chunk)
    },
    end() {
      if (!isOver) finish()
    },
  }
}
