/**
 * Runs the operator's programs that list allowed keys or principals: AuthorizedKeysCommand and
 * AuthorizedPrincipalsCommand of sshd_config(5), as misc.c's subprocess() does. No shell reads the arguments. Others must
 * not be able to change the program (strict-modes.ts). Its time, output and environment are limited; if the gateway is
 * root, it has a user of its own. If anything goes wrong, its output does not count.
 */
import { accessSync, constants, realpathSync, statSync } from 'node:fs'
import { isAbsolute } from 'node:path'
import type { Logger } from 'pino'
import { HatchwayError, messageOf } from '../base/errors.ts'
import { part } from '../base/parts.ts'
import { printable } from '../base/printable.ts'
import { openDeadline } from '../lifetime/deadline.ts'
import { unlessAborted } from '../lifetime/on-abort.ts'
import { createKeyedSemaphore, createSemaphore } from '../lifetime/semaphore.ts'
import { parseAddress } from '../net/address.ts'
import type { AuthContext } from '../ssh/auth.ts'
import { source } from '../ssh/penalties.ts'
import { type Account, findAccount, ownAccount } from './accounts.ts'
import { splitArguments } from './argv.ts'
import { unsafe } from './strict-modes.ts'
import { checkTokens, expand, type Tokens } from './tokens.ts'
import { mustBeOfTheFile, mustBeOfTheProgram } from './undecided.ts'

const loadExeca = part(() => import('execa'))

export interface HelperSettings {
  /** The configuration key, for messages. */
  readonly key: string
  /** A list of arguments, or one line with quotes. */
  readonly command: string | readonly string[]
  readonly user: string | undefined
  /** The letters of the tokens that are allowed. */
  readonly tokens: string
  /** In milliseconds; absent: 10 s. */
  readonly timeout?: number
}

/** Returns undefined if not run or failed, which is logged. @throws HatchwayError LOGIN_UNDECIDED: not its fault */
export type Helper = (tokens: Tokens, login: Pick<AuthContext, 'remote' | 'signal'>) => Promise<string | undefined>

const TIMEOUT_MS = 10_000
/**
 * Strangers choose how often the programs are asked: so many run at once, of all together, and half of them for one source.
 * Who waits is a connection before its login, and `loginGraceTime` ends it.
 */
const everybodys = createSemaphore({ atOnce: 10 })
const eachSources = createKeyedSemaphore({ atOnce: 5 })
const SOURCE_BITS = { ipv4: 32, ipv6: 64 }
const MAX_OUTPUT_CHARACTERS = 1024 * 1024
const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

export function keyProgramsWaiting(): number {
  return everybodys.waiting
}

/** @throws HatchwayError CONFIG_INVALID */
export async function openHelper(settings: HelperSettings, log: Logger): Promise<Helper> {
  const { key, command } = settings
  const argv = typeof command === 'string' ? splitArguments(command) : command
  const program = argv?.[0]
  if (!argv || program === undefined)
    throw new HatchwayError('CONFIG_INVALID', `${key}: a quote stays open, or nothing to run`)
  if (!isAbsolute(program)) throw new HatchwayError('CONFIG_INVALID', `${key}: its program must be an absolute path`)
  for (const argument of argv.slice(1)) checkTokens(key, argument, settings.tokens)
  const account = await accountFor(settings)

  return async (tokens, { remote, signal }) => {
    const reason = whyUnsafe(program)
    if (reason !== undefined) {
      log.error({ program, reason }, `${key} is not run`)
      return undefined
    }
    const args = argv.slice(1).map((argument) => expand(argument, tokens))
    if (!args.every((argument) => argument !== undefined)) {
      log.info({ program }, `${key} is not run: the user name is not one to put in an argument`)
      return undefined
    }
    const leave = await turn(remote.address, signal)
    if (!leave) return undefined
    // Its time begins with its turn.
    const { output, failure } = await run(program, args, account, settings.timeout ?? TIMEOUT_MS, signal).finally(leave)
    if (failure !== undefined && !signal.aborted) log.error({ program, reason: failure }, `${key} failed`)
    return failure === undefined ? output : undefined
  }
}

/** Returns how to give the turn back; undefined: the client went away before it came. */
async function turn(address: string, signal: AbortSignal): Promise<(() => void) | undefined> {
  const parsed = parseAddress(address)
  const leaveOwn = await eachSources
    .enter(parsed ? source(parsed, SOURCE_BITS) : address, signal)
    .catch(() => undefined)
  if (!leaveOwn) return undefined
  const leave = await everybodys.enter(signal).catch(() => undefined)
  if (!leave) {
    leaveOwn()
    return undefined
  }
  return () => {
    leave()
    leaveOwn()
  }
}

/** sshd insists on AuthorizedKeysCommandUser; a gateway that is not root can run the program only as itself. */
async function accountFor({ key, user }: HelperSettings): Promise<Account> {
  const own = ownAccount()
  if (user === undefined) {
    if (own.uid !== 0) return own
    throw new HatchwayError('CONFIG_INVALID', `${key} needs ${key}User: it must not run as root unless you say so`)
  }
  const account = await findAccount(user)
  if (!account) throw new HatchwayError('CONFIG_INVALID', `${key}User: there is no user ${user}`)
  if (own.uid !== 0 && account.uid !== own.uid) {
    throw new HatchwayError('CONFIG_INVALID', `${key}User: only root could run it as ${user}`)
  }
  return account
}

/** Returns why an operator's program is not run (others may change it), or undefined. */
export function whyUnsafe(program: string): string | undefined {
  try {
    const real = realpathSync(program)
    const stats = statSync(real)
    if (!stats.isFile()) return `${program} is no regular file`
    accessSync(real, constants.X_OK)
    return unsafe(real, stats, '/')
  } catch (error) {
    mustBeOfTheFile(program, error)
    return messageOf(error)
  }
}

async function run(program: string, args: readonly string[], account: Account, limit: number, signal: AbortSignal) {
  const { execa } = await loadExeca()
  const { name, uid, gid, home } = account
  const lang = process.env.LANG
  // A process group of its own: what the program started is killed with it.
  const child = execa(program, [...args], {
    cwd: '/',
    detached: true,
    cleanup: false,
    extendEnv: false,
    env: { PATH, USER: name, LOGNAME: name, HOME: home, ...(lang !== undefined && { LANG: lang }) },
    stdin: 'ignore',
    maxBuffer: MAX_OUTPUT_CHARACTERS,
    reject: false,
    stripFinalNewline: false,
    ...(uid !== process.getuid?.() && { uid, gid }),
  })
  const { signal: over, release } = openDeadline(limit, signal)
  const result = await unlessAborted(child, over)
    .catch((error: unknown) => {
      if (!over.aborted) throw error
    })
    .finally(release)
  if (!result) {
    killGroup(child.pid)
    // A child of the program may have left the group and hold the output open.
    child.stdout?.destroy()
    child.stderr?.destroy()
    return { output: '', failure: signal.aborted ? 'the client went away' : `it took longer than ${limit} ms` }
  }
  const { failed, exitCode, stdout, stderr, shortMessage, isMaxBuffer } = result
  if (failed && exitCode === undefined) mustBeOfTheProgram(program, result.cause)
  const said = printable(stderr).slice(0, 200)
  if (isMaxBuffer) return { output: '', failure: `it printed more than ${MAX_OUTPUT_CHARACTERS} characters` }
  return failed
    ? { output: '', failure: `${printable(shortMessage ?? '').slice(0, 200)} ${said}`.trim() }
    : { output: stdout, failure: undefined }
}

export function killGroup(pid: number | undefined): void {
  if (pid === undefined) return
  try {
    process.kill(-pid, 'SIGKILL')
  } catch {
    // The group has no process left.
  }
}
