/** The engine's own error sentences → what a user reads. Docker and Podman share most of them; both roads use this. */
import { causeText, HatchwayError, isFailure } from '../base/errors.ts'
import { oneLine } from '../base/printable.ts'
import type { Limit } from '../lifetime/deadline.ts'

/** What a failed call was about, for a clear sentence. */
export interface About {
  readonly container?: string
  readonly user?: string
}

const NOT_RUNNING: readonly (readonly [RegExp, string])[] = [
  [/is paused|container state improper.*paused|paused container/i, 'is paused'],
  [/is restarting/i, 'is restarting'],
  [/marked for removal|is (being removed|removing)|removal in progress/i, 'is being removed'],
  [
    /is not running|on running containers|stopped container|container not running|is not created or running|is (exited|created|dead)/i,
    'is stopped',
  ],
]

/** A sentence that tells that the container cannot run programs now, or undefined. */
export function notRunning(text: string, container: string): HatchwayError | undefined {
  for (const [pattern, state] of NOT_RUNNING) {
    if (pattern.test(text)) {
      return new HatchwayError('CONTAINER_NOT_RUNNING', `container ${oneLine(container, 80)} ${state}`, {
        cause: new Error(oneLine(text)),
      })
    }
  }
  return undefined
}

const UNKNOWN_USER =
  /unable to find user|unable to find group|no matching entries in (passwd|group) file|uids and gids must be in range|looking up (user|supplemental)/i

const NO_CONTAINER = /no such container|no container with name or id|container .*does not exist|no such object/i

/** Maps an engine's error text. `fallback` decides for texts nobody has met yet. */
export function engineError(text: string, about: About, fallback = 'the container engine refused'): HatchwayError {
  const container = oneLine(about.container ?? '', 80)
  const cause = new Error(oneLine(text))
  const state = notRunning(text, container)
  if (state !== undefined) return state
  if (NO_CONTAINER.test(text)) {
    return new HatchwayError('CONTAINER_NOT_FOUND', `no container ${container}`, { cause })
  }
  if (/multiple ids found|more than one result|is ambiguous|multiple containers found/i.test(text)) {
    return new HatchwayError('CONTAINER_AMBIGUOUS', `more than one container begins with ${container}`, { cause })
  }
  if (UNKNOWN_USER.test(text)) {
    const who =
      about.user === '' ? 'the user or group that it runs as is not' : `no user ${oneLine(about.user ?? '', 80)}`
    return new HatchwayError('USER_NOT_FOUND', `${who} in the container`, { cause })
  }
  if (isUnreachable(text)) return unreachable(undefined, cause)
  return new HatchwayError('ENGINE_ERROR', `${fallback}: ${withoutHostPaths(text)}`, { cause })
}

/** Of words on a program's own stream. They may be the program's, and came through an engine that can be reached. */
export function couldNotRun(text: string, about: About): HatchwayError {
  const what = 'the container engine could not run the program'
  const error = engineError(text, about, what)
  if (error.code !== 'ENGINE_UNAVAILABLE') return error
  return new HatchwayError('ENGINE_ERROR', `${what}: ${withoutHostPaths(text)}`, { cause: error.cause })
}

/**
 * An engine names files of its host: its own storage, what is mounted into a container. They are for the log, which has the
 * error's cause, and not for who logs in. Devices are named as they are inside, and so is the program that was to run.
 */
function withoutHostPaths(text: string): string {
  return oneLine(text).replace(/(^|[\s"'`(=[])(\/[^\s"'`:)\],]+)/g, (whole, before: string, path: string) =>
    path.startsWith('/dev/') || text.includes(`exec: "${path}"`) ? whole : `${before}...`,
  )
}

const NO_IMAGE = /no such image|image not known|unable to find image|manifest unknown|image .*not found/i

/** Symbolic links that lead to themselves: ELOOP, in Docker's and Podman's words. */
export function isLinkLoop(error: HatchwayError): boolean {
  return /too many (links|levels of symbolic links)/i.test(causeText(error))
}

/** A removal that another one made needless. */
export function isRemoved(error: unknown): boolean {
  const words = /removal .* already in progress|marked for removal/i
  return isFailure(error, 'CONTAINER_NOT_FOUND') || words.test(causeText(error))
}

/** Podman removes no container whose process namespace another one shares, as a holder does. */
export function isDependedOn(error: unknown): boolean {
  return /dependent containers/i.test(causeText(error))
}

/** A failed create: there is a container of that name, or there will be one in a moment. */
export function isNameTaken(error: unknown): boolean {
  return /\bname\b.* is already in use/is.test(causeText(error))
}

/** A failed create, as what a user can understand when it was for want of the image; undefined: something else failed. */
export function imageMissing(error: unknown, image: string): HatchwayError | undefined {
  if (!NO_IMAGE.test(causeText(error))) return undefined
  return new HatchwayError('IMAGE_UNAVAILABLE', `the engine has no image ${oneLine(image, 100)}`, { cause: error })
}

export function imageUnavailable(image: string, why: string): HatchwayError {
  return new HatchwayError(
    'IMAGE_UNAVAILABLE',
    `the engine has no image ${oneLine(image, 100)} and cannot pull it: ${withoutHostPaths(why)}`,
  )
}

/** For the engine's owner, not for who logs in: an engine that cannot be reached, with what its CLI or the system says of it. */
export function withReason(error: HatchwayError): HatchwayError {
  const { code, message, cause } = error
  const hasReason = !message.endsWith('is not reachable') || !(cause instanceof Error)
  return hasReason ? error : new HatchwayError(code, `${message} (${cause.message})`, { cause })
}

/** A CLI says this when its engine does not answer. */
export function isUnreachable(text: string): boolean {
  return /cannot connect to the docker daemon|error during connect|cannot connect to podman|dial unix|failed to connect to|is the docker daemon running/i.test(
    text,
  )
}

export function unreachable(why: string | undefined, cause: unknown): HatchwayError {
  const reason = why === undefined ? '' : ` (${why})`
  return new HatchwayError('ENGINE_UNAVAILABLE', `the container engine is not reachable${reason}`, { cause })
}

export function engineTimeout(what: string, milliseconds: number): HatchwayError {
  return new HatchwayError(
    'ENGINE_TIMEOUT',
    `the container engine did not answer within ${Math.round(milliseconds / 100) / 10} s (${what})`,
  )
}

/** A limit over calls of an engine that ends as the engine's own failure to answer does. */
export function engineLimit(what: string, ms: number): Limit {
  return { ms, reason: () => engineTimeout(what, ms) }
}

export function engineLost(cause: unknown): HatchwayError {
  return new HatchwayError('ENGINE_LOST', 'the container engine went away', { cause })
}

/** How a program that could not be started ends: a line for stderr and a shell's exit code; or a failure. */
export type StartFailure = { readonly line: string; readonly code: 126 | 127 } | { readonly error: HatchwayError }

/** There is no /dev/pts, or no pty is free. */
export function terminalMissing(container: string, cause: unknown): HatchwayError {
  return new HatchwayError('TERMINAL_MISSING', `container ${oneLine(container, 80)} has no terminal to give`, { cause })
}

/** The beginnings of what an engine or its runtime says in-band, on the program's own streams, when it cannot start it. */
export const START_FAILURE_TEXTS: readonly string[] = [
  'OCI runtime ',
  'unable to find user ',
  'unable to find group ',
  'uids and gids must be in range',
  'cannot exec in a ',
  'runc: ',
  'crun: ',
  'exec failed: ',
  'failed to create runc ',
  // The last step of runc and of crun, whose code is 1.
  'exec /',
  'exec `',
  'exec: ',
  // Podman.
  'Error: runc: ',
  'Error: crun: ',
  'Error: OCI runtime ',
  'Error: unable to find ',
  'Error: read unixpacket ',
]

/** What the runtimes say of an execve(2) that failed: the whole of it, since a program that ends with 1 says anything. */
const EXECVE_FAILED = /^exec(?: \/\S*| `[^`\n]*`)?: (?:argument list too long|exec format error)\s*$/i

/** May these words, with which an exec ended with this code, be those of an engine that could not start it? */
export function mayBeStartFailure(text: string, code: number): boolean {
  return (code >= 125 && code <= 127) || (code === 1 && EXECVE_FAILED.test(text))
}

/** Podman's lines on its own connection to a program that did not start: the reason is in another line. */
const ATTACH_NOISE = /^(?:Error: )?read unixpacket [^\n]*\n?/gm

export function withoutAttachNoise(text: string): string {
  return text.replace(ATTACH_NOISE, '')
}

const OTHER_FILE =
  /\b(?:l?stat|open\w*|read\w*|mkdir|mount|access) [`"]?(\/[^\s:`"]+)[`"]?: (?:no such file|not a directory|permission denied|operation not permitted)/i

/** Of runc, then of crun: a user or group whose number the container's user namespace does not have. */
const UNMAPPED =
  /\bunmapped (?:user|group) in user namespace|\bset(?:resuid|resgid|groups)(?: to `?\d+`?)?: invalid argument/i

/** What the runtime itself needed and did not find, as /dev/null: the program may well be there. */
function isOfAnotherFile(text: string, command: string): boolean {
  const [, file] = OTHER_FILE.exec(text) ?? []
  return file !== undefined && file !== command && !/\bexec: "/.test(text)
}

/** undefined: these words are not known; they may be the program's own. */
export function startFailure(text: string, command: string, cwd: string, about: About): StartFailure | undefined {
  const name = oneLine(command, 100)
  if (/chdir to cwd|cwd must be an absolute path|workdir .* does not exist|chdir (to )?`/i.test(text)) {
    const why = /permission denied/i.test(text) ? 'permission denied' : 'no such directory in the container'
    return { line: `hatchway: ${oneLine(cwd, 100)}: ${why}`, code: 126 }
  }
  if (UNKNOWN_USER.test(text) || NO_CONTAINER.test(text)) return { error: engineError(text, about) }
  if (UNMAPPED.test(text)) {
    const message = `the container’s user namespace has no user ${oneLine(about.user ?? '', 80)}, or not one of its groups`
    return { error: new HatchwayError('USER_NOT_FOUND', message, { cause: new Error(oneLine(text)) }) }
  }
  const state = notRunning(text, about.container ?? '')
  if (state !== undefined) return { error: state }
  if (!/exec|runc|crun|OCI/i.test(text)) return undefined
  if (/\/dev\/(ptmx|pts)\b/.test(text))
    return { error: terminalMissing(about.container ?? '', new Error(oneLine(text))) }
  if (isOfAnotherFile(text, command)) {
    return { error: couldNotRun(text, about) }
  }
  // crun takes a directory of the PATH for it.
  if (name === '') return { line: `hatchway: ${name}: command not found`, code: 127 }
  if (/argument list too long/i.test(text)) return { line: `hatchway: ${name}: argument list too long`, code: 126 }
  if (/executable file .*not found|no such file or directory|not a directory/i.test(text)) {
    return { line: `hatchway: ${name}: command not found`, code: 127 }
  }
  if (/permission denied|operation not permitted|is a directory/i.test(text))
    return { line: `hatchway: ${name}: permission denied`, code: 126 }
  if (/exec format error/i.test(text)) return { line: `hatchway: ${name}: cannot execute: wrong format`, code: 126 }
  return undefined
}
