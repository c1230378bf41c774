/**
 * Whether a key lets in cannot be told: not because of the key or a file, but because the gateway has no descriptor or
 * memory left, or a disk fails. That is never "no such key": who has a valid one would read "Permission denied", and be
 * penalised for it.
 */
import { HatchwayError, messageOf } from '../base/errors.ts'

/** Errors of open(2), read(2), stat(2) that say something of the file: it is not there, or not for us. */
const OF_THE_FILE = ['ENOENT', 'ENOTDIR', 'EACCES', 'EPERM', 'ELOOP', 'EISDIR', 'ENAMETOOLONG', 'ENXIO', 'EINVAL']
/** And of execve(2) that say something of the program. */
const OF_THE_PROGRAM = [...OF_THE_FILE, 'ENOEXEC', 'ETXTBSY', 'E2BIG']

/** @throws HatchwayError LOGIN_UNDECIDED, unless the error says something of the file */
export function mustBeOfTheFile(path: string, error: unknown): void {
  if (!isOneOf(OF_THE_FILE, error)) throw undecided(path, error)
}

/** @throws HatchwayError LOGIN_UNDECIDED, unless the program was started, or the error says something of it */
export function mustBeOfTheProgram(program: string, error: unknown): void {
  if (isSystemError(error) && !isOneOf(OF_THE_PROGRAM, error)) throw undecided(program, error)
}

export function isUndecided(error: unknown): error is HatchwayError {
  return error instanceof HatchwayError && error.code === 'LOGIN_UNDECIDED'
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
