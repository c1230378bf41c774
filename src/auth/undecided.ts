/**
 * The gateway cannot tell whether a key is allowed: not because of the key or a file, but because it has no descriptor
 * or memory left, or a disk fails. That is never "no such key": a client with a valid key would read "Permission
 * denied" and be penalised for it.
 */
import { HatchwayError, messageOf } from '../base/errors.ts'

/** Errors of open(2), read(2), stat(2) that are the file's own: it is missing, or we may not read it. */
const OF_THE_FILE = ['ENOENT', 'ENOTDIR', 'EACCES', 'EPERM', 'ELOOP', 'EISDIR', 'ENAMETOOLONG', 'ENXIO', 'EINVAL']
/** Errors of execve(2) that are the program's own. */
const OF_THE_PROGRAM = [...OF_THE_FILE, 'ENOEXEC', 'ETXTBSY', 'E2BIG']

/** @throws HatchwayError LOGIN_UNDECIDED, unless the error is the file's own */
export function mustBeOfTheFile(path: string, error: unknown): void {
  if (!isOneOf(OF_THE_FILE, error)) throw undecided(path, error)
}

/** @throws HatchwayError LOGIN_UNDECIDED, unless the program was started, or the error is the program's own */
export function mustBeOfTheProgram(program: string, error: unknown): void {
  if (isSystemError(error) && !isOneOf(OF_THE_PROGRAM, error)) throw undecided(program, error)
}

function undecided(path: string, error: unknown): HatchwayError {
  if (error instanceof HatchwayError) return error
  const cause = new Error(`${path}: ${messageOf(error)}`, { cause: error })
  return new HatchwayError('LOGIN_UNDECIDED', 'the gateway cannot check any login at the moment; try again later', {
    cause,
  })
}

function isOneOf(codes: readonly string[], error: unknown): boolean {
  return isSystemError(error) && codes.includes(error.code)
}

function isSystemError(error: unknown): error is Error & { readonly code: string } {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' && /^E[A-Z0-9]+$/.test(error.code)
}
