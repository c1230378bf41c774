/**
 * Reads along with an SFTP session and reports what was done to files. The bytes pass unchanged; a request is reported
 * when its answer comes. Client and server may both be hostile: they can take only so much memory, and a request whose
 * id is used twice or never answered is reported as UNKNOWN, not forgotten.
 */
import { type ContentHash, createContentHashes, type TakeBytes } from './content-hash.ts'
import type { FileTap } from './file-tap.ts'
import {
  type FileContent,
  resultOf,
  type SftpAttributes,
  type SftpOperation,
  type SftpRequest,
  type SftpResult,
} from './operations.ts'
import { SftpFields, SftpPackets } from './packets.ts'
import { PACKET_TYPE } from './types.ts'

const MAX_PENDING = 4096
const MAX_FILES = 4096

interface File {
  readonly path: string
  bytesRead: number
  bytesWritten: number
  /** Absent: nobody asks for hashes. */
  readonly read?: ContentHash
  readonly written?: ContentHash
}

/** Called with the answer to a request. `rest`: the handle of HANDLE, the length of DATA. Returns what takes the data. */
type Answered = (result: SftpResult, rest?: SftpFields) => TakeBytes | undefined

/** What a request is: how its answer is taken, and what takes the data behind its head. */
interface Waiting {
  readonly answered: Answered
  readonly data?: TakeBytes | undefined
}

/** @param withHashes also what the files had in them, as SHA-256 */
export function createSftpTap(tell: (operation: SftpOperation) => void, withHashes = false): FileTap {
  const contentHash = withHashes ? createContentHashes() : undefined
  const pending = new Map<number, Answered>()
  /** By handle. Looked up when an answer comes: a client may guess a handle and use it before it is sent. */
  const files = new Map<string, File>()

  function answer(id: number, result: SftpResult, rest?: SftpFields): TakeBytes | undefined {
    const answered = pending.get(id)
    pending.delete(id)
    return answered?.(result, rest)
  }

  function expect(id: number, answered: Answered): void {
    answer(id, 'UNKNOWN')
    const [oldest] = pending.keys()
    if (pending.size >= MAX_PENDING && oldest !== undefined) answer(oldest, 'UNKNOWN')
    pending.set(id, answered)
  }

  function telling(request: SftpRequest): Answered {
    return (result) => {
      tell({ ...request, result })
      return undefined
    }
  }

  function opening(path: string, access: readonly string[]): Answered {
    return (result, handle) => {
      tell({ name: 'open', path, access, result })
      if (handle && result === 'OK' && files.size < MAX_FILES) {
        const key = keyOf(handle)
        const { read, written } = files.get(key) ?? {}
        // A handle that is not closed is given once, but by a hostile server.
        read?.spoil()
        written?.spoil()
        const hashes = contentHash && { read: contentHash(), written: contentHash() }
        files.set(key, { path, bytesRead: 0, bytesWritten: 0, ...hashes })
      }
      return undefined
    }
  }

  function closing(handle: string): Answered {
    return (result) => {
      const file = files.get(handle)
      files.delete(handle)
      // Otherwise the handle is a directory's, or unknown.
      if (file) tell({ name: 'close', path: file.path, ...contentOf(file), result })
      return undefined
    }
  }

  function onFile(handle: string, then: (file: File, result: SftpResult) => void): Answered {
    return (result) => {
      const file = files.get(handle)
      if (file) then(file, result)
      return undefined
    }
  }

  function reading(handle: string, offset: number): Answered {
    return (result, data) => {
      const file = files.get(handle)
      if (!file || !data || result !== 'OK') return undefined
      const bytes = data.u32()
      file.bytesRead += bytes
      return following(file.read?.next(offset, bytes), data)
    }
  }

  /** What is written is seen before it is known whether it was: of a write that failed there is no hash. */
  function writing(fields: SftpFields): Waiting {
    const handle = keyOf(fields)
    const offset = fields.u64()
    const bytes = fields.u32()
    const target = files.get(handle)
    const answered = onFile(handle, (file, result) => {
      if (result === 'OK') file.bytesWritten += bytes
      else file.written?.spoil()
    })
    return { answered, data: following(target?.written?.next(offset, bytes), fields) }
  }

  function waitFor(type: number, fields: SftpFields): Waiting | undefined {
    if (type === PACKET_TYPE.WRITE) return writing(fields)
    const answered = answeredTo(type, fields)
    return answered && { answered }
  }

  function answeredTo(type: number, fields: SftpFields): Answered | undefined {
    switch (type) {
      case PACKET_TYPE.READ:
        return reading(keyOf(fields), fields.u64())
      case PACKET_TYPE.OPEN:
        return opening(fields.text(), accessOf(fields.u32()))
      case PACKET_TYPE.CLOSE:
        return closing(keyOf(fields))
      case PACKET_TYPE.FSETSTAT: {
        const handle = keyOf(fields)
        const attributes = attributesOf(fields)
        return onFile(handle, ({ path }, result) => tell({ name: 'setstat', path, attributes, result }))
      }
      case PACKET_TYPE.EXTENDED:
        return extended(fields)
      default: {
        const request = requestOf(type, fields)
        return request && telling(request)
      }
    }
  }

  /** The extensions that change something: OpenSSH's PROTOCOL, §4. */
  function extended(fields: SftpFields): Answered | undefined {
    switch (fields.text()) {
      case 'posix-rename@openssh.com':
        return telling({ name: 'rename', path: fields.text(), target: fields.text() })
      case 'hardlink@openssh.com':
        return telling({ name: 'hardlink', path: fields.text(), target: fields.text() })
      case 'lsetstat@openssh.com':
        return telling({ name: 'setstat', path: fields.text(), attributes: attributesOf(fields) })
      case 'copy-data': {
        const from = keyOf(fields)
        fields.u64()
        fields.u64()
        const to = keyOf(fields)
        return onFile(from, ({ path }, result) => {
          tell({ name: 'copy', path, target: files.get(to)?.path ?? '', result })
        })
      }
      default:
        return undefined
    }
  }

  const requests = new SftpPackets((head) => {
    const fields = new SftpFields(head)
    const id = fields.u32()
    const waiting = waitFor(head[0] ?? 0, fields)
    if (waiting) expect(id, waiting.answered)
    return waiting?.data
  })

  const replies = new SftpPackets((head) => {
    const fields = new SftpFields(head)
    const id = fields.u32()
    const type = head[0]
    if (type === PACKET_TYPE.HANDLE || type === PACKET_TYPE.DATA) return answer(id, 'OK', fields)
    if (type === PACKET_TYPE.STATUS) answer(id, resultOf(fields.u32()))
    // VERSION has no id; NAME, ATTRS and EXTENDED_REPLY answer requests that are not reported.
    return undefined
  })

  return {
    input: (chunk) => requests.feed(chunk),
    output: (fd, chunk) => {
      if (fd === 1) replies.feed(chunk)
    },
    end() {
      for (const id of [...pending.keys()]) answer(id, 'UNKNOWN')
      for (const file of files.values()) tell({ name: 'close', path: file.path, ...contentOf(file), result: 'UNKNOWN' })
      files.clear()
    },
  }
}

/** Gives `take` what of the data is in the head already. */
function following(take: TakeBytes | undefined, fields: SftpFields): TakeBytes | undefined {
  take?.(fields.rest())
  return take
}

function contentOf({ bytesRead, bytesWritten, read, written }: File): FileContent {
  const sha256Read = read?.end(bytesRead)
  const sha256Written = written?.end(bytesWritten)
  const isPartial =
    (read && bytesRead > 0 && sha256Read === undefined) || (written && bytesWritten > 0 && sha256Written === undefined)
  return {
    ...{ bytesRead, bytesWritten },
    ...(sha256Read !== undefined && { sha256Read }),
    ...(sha256Written !== undefined && { sha256Written }),
    ...(isPartial && { partial: true }),
  }
}

/** A handle's bytes as a key of a Map. */
function keyOf(fields: SftpFields): string {
  return fields.string().toString('latin1')
}

function requestOf(type: number, fields: SftpFields): SftpRequest | undefined {
  switch (type) {
    case PACKET_TYPE.REMOVE:
      return { name: 'remove', path: fields.text() }
    case PACKET_TYPE.MKDIR:
      return { name: 'mkdir', path: fields.text() }
    case PACKET_TYPE.RMDIR:
      return { name: 'rmdir', path: fields.text() }
    case PACKET_TYPE.SETSTAT:
      return { name: 'setstat', path: fields.text(), attributes: attributesOf(fields) }
    case PACKET_TYPE.RENAME:
      return { name: 'rename', path: fields.text(), target: fields.text() }
    case PACKET_TYPE.SYMLINK: {
      // OpenSSH sends the two in the opposite order of the draft (PROTOCOL §4.1).
      const target = fields.text()
      return { name: 'symlink', path: fields.text(), target }
    }
    default:
      return undefined
  }
}

/** SSH_FXF_*, §6.3. */
const ACCESS = ['read', 'write', 'append', 'create', 'truncate', 'exclusive']

function accessOf(flags: number): string[] {
  return ACCESS.filter((_, bit) => flags & (1 << bit))
}

/** Attributes, §5. */
function attributesOf(fields: SftpFields): SftpAttributes {
  const flags = fields.u32()
  const size = flags & 1 && { size: fields.u64() }
  const owner = flags & 2 && { uid: fields.u32(), gid: fields.u32() }
  const mode = flags & 4 && { mode: fields.u32() & 0o7777 }
  if (flags & 8) fields.u32() // when it was read last
  const modified = flags & 8 && { modified: fields.u32() }
  return { ...size, ...owner, ...mode, ...modified }
}
