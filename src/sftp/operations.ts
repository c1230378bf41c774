/** What a client does to files over SFTP, for the log. Paths are the client's claim, as it wrote them. */

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

export type SftpRequest =
  | { readonly name: 'open'; readonly path: string; readonly access: readonly string[] }
  /** Of a file, with all the bytes that went through its handle. */
  | { readonly name: 'close'; readonly path: string; readonly bytesRead: number; readonly bytesWritten: number }
  | { readonly name: 'remove' | 'mkdir' | 'rmdir'; readonly path: string }
  | { readonly name: 'setstat'; readonly path: string; readonly attributes: SftpAttributes }
  /** `target` is the new name; of a symlink, what it points to. */
  | { readonly name: 'rename' | 'symlink' | 'hardlink' | 'copy'; readonly path: string; readonly target: string }

export type SftpOperation = SftpRequest & { readonly result: SftpResult }

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
