/**
 * Every failure a person can meet, by code: what they read is the error's message, what the log says is its cause.
 * docs/errors.md is checked against this table by test/base/errors.test.ts.
 */
export const FAILURES = {
  CONTAINER_NOT_FOUND: { exit: 255, level: 'info' },
  CONTAINER_AMBIGUOUS: { exit: 255, level: 'info' },
  CONTAINER_NOT_RUNNING: { exit: 255, level: 'info' },
  CONTAINER_START_FAILED: { exit: 255, level: 'warn' },
  IMAGE_UNAVAILABLE: { exit: 255, level: 'warn' },
  CONTAINER_GONE: { exit: 255, level: 'info' },
  CONTAINER_CHANGED: { exit: 255, level: 'info' },
  USER_NOT_FOUND: { exit: 255, level: 'info' },
  USER_BROKEN: { exit: 255, level: 'warn' },
  USER_CHANGED: { exit: 255, level: 'warn' },
  LOGIN_REFUSED: { exit: 1, level: 'info' },
  SHELL_MISSING: { exit: 255, level: 'info' },
  TERMINAL_MISSING: { exit: 255, level: 'info' },
  NOT_PERMITTED: { exit: 255, level: 'warn' },
  NOT_SUPPORTED: { exit: 255, level: 'info' },
  COMMAND_NOT_FOUND: { exit: 127, level: 'info' },
  COMMAND_NOT_EXECUTABLE: { exit: 126, level: 'info' },
  ENGINE_UNAVAILABLE: { exit: 255, level: 'error' },
  ENGINE_TIMEOUT: { exit: 255, level: 'error' },
  ENGINE_LOST: { exit: 255, level: 'error' },
  ENGINE_ERROR: { exit: 255, level: 'error' },
  GUEST_FAILED: { exit: 255, level: 'warn' },
  SESSION_KILLED: { exit: 255, level: 'info' },
  SESSION_EXPIRED: { exit: 255, level: 'info' },
  TOO_MANY_SESSIONS: { exit: 255, level: 'warn' },
  TOO_MANY_CONNECTIONS: { exit: 255, level: 'warn' },
  AUDIT_UNAVAILABLE: { exit: 255, level: 'warn' },
  RECORDING_UNAVAILABLE: { exit: 255, level: 'warn' },
  CLIENT_GONE: { exit: 255, level: 'info' },
  CONFIG_INVALID: { exit: 2, level: 'error' },
  LOGIN_UNDECIDED: { exit: 255, level: 'error' },
  INTERNAL: { exit: 255, level: 'error' },
} as const satisfies Record<string, { exit: number; level: 'info' | 'warn' | 'error' }>

export type FailureCode = keyof typeof FAILURES

/** A failure with one clear sentence for the user (`message`, no newline) and the cause for the log. */
export class HatchwayError extends Error {
  readonly code: FailureCode

  constructor(code: FailureCode, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.name = 'HatchwayError'
    this.code = code
  }

  get exitCode(): number {
    return FAILURES[this.code].exit
  }
}

/** Whether a thrown value is a failure of one of these codes. */
export function isFailure(error: unknown, ...codes: readonly FailureCode[]): error is HatchwayError {
  return error instanceof HatchwayError && codes.includes(error.code)
}

/** For a promise's catch(): undefined for a failure of this code; all others are thrown on. */
export function undefinedIf(code: FailureCode): (error: unknown) => undefined {
  return (error) => {
    if (!isFailure(error, code)) throw error
    return undefined
  }
}

/** Whether a system call failed, and so: by the names of errno(3). */
export function isErrno(error: unknown, ...names: readonly string[]): boolean {
  return error instanceof Error && 'code' in error && names.some((name) => name === error.code)
}

/** What the cause of a failure says; "" where there is none. */
export function causeText(failure: unknown): string {
  return failure instanceof HatchwayError && failure.cause instanceof Error ? failure.cause.message : ''
}

/** What any thrown value says; for the log, or for who runs the gateway. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** Any thrown value as a HatchwayError: what is not ours becomes INTERNAL, whose message tells a client nothing. */
export function asHatchwayError(error: unknown): HatchwayError {
  if (error instanceof HatchwayError) return error
  return new HatchwayError('INTERNAL', 'internal error; the gateway log has the cause', { cause: error })
}
