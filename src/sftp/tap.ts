/**
 * Reads along with an SFTP session and reports what was done to files. The bytes pass unchanged; a request is reported
 * when its answer comes. Client and server may both be hostile: they can take only so much memory, and a request whose
 * id is used twice or never answered is reported as UNKNOWN, not forgotten.
 */
import { resultOf, type SftpAttributes, type SftpOperation, type SftpRequest, type SftpResult } from './operations.ts'
import { SftpFields, SftpPackets } from './packets.ts'
import { PACKET_TYPE } from './types.ts'

const MAX_PENDING = 4096
const MAX_FILES = 4096

interface File {
  readonly path: string
  bytesRead: number
  bytesWritten: number
}

/** Called with the answer to a request. `rest`: the handle of HANDLE, the length of DATA. */
type Answered = (result: SftpResult, rest?: SftpFields) => void

/** Reads along with the bytes of a session, which pass untouched. */
export interface SftpTap {
  input(chunk: Buffer): void
  output(fd: 1 | 2, chunk: Buffer): void
  /** Reports, at the session's end, unanswered requests and files that were not closed. */
  end(): void
}

export function createSftpTap(tell: (operation: SftpOperation) => void): SftpTap {
  const pending = new Map<number, Answered>()
  /** By handle. Looked up when an answer comes: a client may guess a handle and use it before it is sent. */
  const files = new Map<string, File>()

  function answer(id: number, result: SftpResult, rest?: SftpFields): void {
    const answered = pending.get(id)
    pending.delete(id)
    answered?.(result, rest)
  }

  function expect(id: number, answered: Answered): void {
    answer(id, 'UNKNOWN')
    const [oldest] = pending.keys()
    if (pending.size >= MAX_PENDING && oldest !== undefined) answer(oldest, 'UNKNOWN')
    pending.set(id, answered)
  }

  function telling(request: SftpRequest): Answered {
    return (result) => tell({ ...request, result })
  }

  function opening(path: string, access: readonly string[]): Answered {
    return (result, handle) => {
      tell({ name: 'open', path, access, result })
      if (handle && result === 'OK' && files.size < MAX_FILES) {
        files.set(keyOf(handle), { path, bytesRead: 0, bytesWritten: 0 })
      }
    }
  }

  function closing(handle: string): Answered {
    return (result) => {
      const file = files.get(handle)
      files.delete(handle)
      // Otherwise the handle is a directory's, or unknown.
      if (file) tell({ name: 'close', ...file, result })
    }
  }

  function onFile(handle: string, then: (file: File, result: SftpResult, rest?: SftpFields) => void): Answered {
    return (result, rest) => {
      const file = files.get(handle)
      if (file) then(file, result, rest)
    }
  }

  function waitFor(type: number, fields: SftpFields): Answered | undefined {
    switch (type) {
      case PACKET_TYPE.READ:
        return onFile(keyOf(fields), (file, result, data) => {
          if (data && result === 'OK') file.bytesRead += data.u32()
        })
      case PACKET_TYPE.WRITE: {
        const handle = keyOf(fields)
        fields.u64()
        const bytes = fields.u32()
        return onFile(handle, (file, result) => {
          if (result === 'OK') file.bytesWritten += bytes
        })
      }
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
    const answered = waitFor(head[0] ?? 0, fields)
    if (answered) expect(id, answered)
  })

  const replies = new SftpPackets((head) => {
    const fields = new SftpFields(head)
    const id = fields.u32()
    const type = head[0]
    if (type === PACKET_TYPE.HANDLE || type === PACKET_TYPE.DATA) answer(id, 'OK', fields)
    else if (type === PACKET_TYPE.STATUS) answer(id, resultOf(fields.u32()))
    // VERSION has no id; NAME, ATTRS and EXTENDED_REPLY answer requests that are not reported.
  })

  return {
    input: (chunk) => requests.feed(chunk),
    output: (fd, chunk) => {
      if (fd === 1) replies.feed(chunk)
    },
    end() {
      for (const id of [...pending.keys()]) answer(id, 'UNKNOWN')
      for (const file of files.values()) tell({ name: 'close', ...file, result: 'UNKNOWN' })
      files.clear()
    },
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
