/** Reads along with the bytes of a session, which pass untouched, and reports what was done to files. */
export interface FileTap {
  input(chunk: Buffer): void
  output(fd: 1 | 2, chunk: Buffer): void
  /** Reports, at the session's end, what was not answered and what was not finished. */
  end(): void
}
