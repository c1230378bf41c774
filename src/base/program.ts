/** What the SSH side, the engines and the helper all say of a program: how it ended, and how large its terminal is. */

/** How a program ended. `signal` is a name of RFC 4254 §6.10 without "SIG". */
export type ExitStatus =
  | { readonly code: number }
  | { readonly signal: string; readonly coreDumped: boolean; readonly message?: string }

/** Of a terminal; 0x0 is possible. */
export interface WindowSize {
  readonly cols: number
  readonly rows: number
  /** Pixels, where the client names them: on the guest road the program sees them (TIOCGWINSZ). */
  readonly width?: number
  readonly height?: number
}
