/** What a client does to files over SFTP, or by scp's old protocol, for the log and the audit trail. Paths are the client's claim, as it wrote them. */

/** "OK", or the server's refusal in the names of draft-ietf-secsh-filexfer-02 §7; "UNKNOWN" without an answer. */
export type SftpResult =
  | 'OK'
  | 'EOF'
  | 'NO_SUCH_FILE'
  | 'PERMISSION_DENIED'
  | 'FAILURE'
  | 'BAD_MESSAGE'
  | 'NO_CONNECTION'
  | 'CONNECTION_LOST'
  | 'OP_UNSUPPORTED'
  | 'UNKNOWN'

export interface SftpAttributes {
  readonly size?: number
  readonly uid?: number
  readonly gid?: number
  /** Permission bits. */
  readonly mode?: number
  /** Seconds since the epoch. */
  readonly modified?: number
}

/** What went through a handle. */
export interface FileContent {
  readonly bytesRead: number
  readonly bytesWritten: number
  /** Hex, of just these bytes, which came in order from the file's beginning. */
  readonly sha256Read?: string
  readonly sha256Written?: string
  /** There should be a hash of bytes that did not come so. */
  readonly partial?: true
}

export type SftpRequest =
  | { readonly name: 'open'; readonly path: string; readonly access: readonly string[] }
  /** Of a file, with all the bytes that went through its handle. */
  | ({ readonly name: 'close'; readonly path: string } & FileContent)
  | { readonly name: 'remove' | 'mkdir' | 'rmdir'; readonly path: string }
  | { readonly name: 'setstat'; readonly path: string; readonly attributes: SftpAttributes }
  /** `target` is the new name; of a symlink, what it points to. */
  | { readonly name: 'rename' | 'symlink' | 'hardlink' | 'copy'; readonly path: string; readonly target: string }

/** What `scp -t` or `scp -f` did. */
export type ScpRequest =
  /** Of a file, under `given` or `given` itself. */
  | ({
      readonly name: 'upload' | 'download'
      readonly path: string
      /** What scp was given to read or write. */
      readonly given: string
      /** As it was announced. */
      readonly size: number
    } & FileContent)
  /** The two sides do not speak the protocol with each other; what follows is not known. */
  | { readonly name: 'unfollowed'; readonly path: string }

export type SftpOperation = (SftpRequest | ScpRequest) & { readonly result: SftpResult }

const RESULTS: readonly SftpResult[] = [
  'OK',
  'EOF',
  'NO_SUCH_FILE',
  'PERMISSION_DENIED',
  'FAILURE',
  'BAD_MESSAGE',
  'NO_CONNECTION',
  'CONNECTION_LOST',
  'OP_UNSUPPORTED',
]

export function resultOf(status: number): SftpResult {
  return RESULTS[status] ?? 'FAILURE'
}
