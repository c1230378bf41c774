/**
 * `hatchway config check`: all that a start reads, opened as the start does it, short of listening. Nothing is made and
 * nothing is changed, so that it can run beside a gateway.
 */
import { accessSync, constants, existsSync, statSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { dirname, isAbsolute, join } from 'node:path'
import pino from 'pino'
import { splitArguments } from '../auth/argv.ts'
import { whyUnsafe } from '../auth/helper-program.ts'
import { loadHostKeys, ownHostKeys } from '../auth/hostkeys.ts'
import { keyFilePaths } from '../auth/key-files.ts'
import { createLockout } from '../auth/lockout.ts'
import { createUsedSteps } from '../auth/used-steps.ts'
import { asHatchwayError, messageOf } from '../base/errors.ts'
import { MAX_SOCKET_PATH_BYTES } from '../base/own-socket.ts'
import type { KeyPath } from '../config/layers.ts'
import type { LoadedConfig } from '../config/load.ts'
import type { Config } from '../config/schema.ts'
import { chooseEngine } from '../engine/choose.ts'
import { choiceOf } from '../engine/kinds.ts'
import type { Logger } from '../observe/log.ts'
import { openExternal } from '../policy/open-external.ts'
import { openPeople } from '../session/people.ts'
import { parseHostKeys } from '../ssh/hostkeys.ts'
import { checkLogins } from './check-logins.ts'
import type { Complaints } from './complaints.ts'

/** pino's levels. */
const [WARN, ERROR] = [40, 50]

export interface StartReport {
  readonly problems: readonly string[]
  readonly warnings: readonly string[]
}

export async function checkStart({ config, where }: LoadedConfig): Promise<StartReport> {
  const problems: string[] = []
  const warnings: string[] = []
  const sentence = (key: KeyPath, text: string) => {
    const place = where(key)
    return `${place === undefined ? '' : `${place}: `}${key.length === 0 ? '' : `${key.join('.')}: `}${text}`
  }
  const complaints: Complaints = {
    problem: (key, text) => void problems.push(sentence(key, text)),
    warn: (key, text) => void warnings.push(sentence(key, text)),
  }
  const log = listeningLog(complaints)
  await Promise.all([
    attempt(['hostKeys'], complaints, () => checkHostKeys(config, complaints)),
    attempt([], complaints, () => checkPeople(config, complaints, log)),
    attempt(['engine'], complaints, () => chooseEngine(config.engine)),
    ...Object.entries(config.engines ?? {}).map(([name, settings]) =>
      attempt(['engines', name], complaints, async () => {
        const choice = choiceOf(name, settings)
        if (choice) await chooseEngine(choice)
      }),
    ),
    attempt(['authorization'], complaints, async () => {
      openExternal(config.authorization, { acceptEnv: [], engine: { endpoint: '' } }, log)
    }),
    ...(['banner', 'motd'] as const).map((key) => checkText(key, config[key], complaints)),
  ])
  checkPrograms(config, complaints)
  checkPlaces(config, complaints)
  return { problems: [...new Set(problems)], warnings: [...new Set(warnings)] }
}

async function attempt(key: KeyPath, { problem }: Complaints, work: () => Promise<unknown>): Promise<void> {
  try {
    await work()
  } catch (error) {
    const { message } = asHatchwayError(error)
    // It may name a key below that one itself: "engines.two.tls: cannot read ...".
    const [, below, text] = /^([\w.-]+): (.*)$/s.exec(message) ?? []
    const path = key.join('.')
    const isBelow = below !== undefined && text !== undefined && below.startsWith(`${path}.`)
    if (isBelow) problem([...key, ...below.slice(path.length + 1).split('.')], text)
    else problem(key, message)
  }
}

/** Keys that a start would make are none to check; that it can make them is checkPlaces(). */
async function checkHostKeys(config: Config, { problem, warn }: Complaints): Promise<void> {
  const own = ownHostKeys(config.keysDirectory).flatMap(({ file }) => (existsSync(file) ? [file] : []))
  const files = config.hostKeys.length > 0 ? config.hostKeys : own
  const keys =
    files.length === 0 ? [] : await loadHostKeys({ ...config, hostKeys: files }, (text) => warn(['hostKeys'], text))
  if (keys.length === 0) return
  const certificates: { file: string; bytes: Buffer }[] = []
  for (const file of config.hostCertificates) {
    const bytes = await readFile(file).catch((error: unknown) => problem(['hostCertificates'], messageOf(error)))
    if (bytes) certificates.push({ file, bytes })
  }
  parseHostKeys(
    keys.map(({ file, privateKey }) => ({ file, bytes: privateKey })),
    certificates,
  )
}

async function checkPeople(config: Config, complaints: Complaints, log: Logger): Promise<void> {
  const state = join(config.keysDirectory, 'state')
  const tried = { usedSteps: createUsedSteps(join(state, 'totp')), lockout: createLockout(join(state, 'wrong-codes')) }
  // With the files by name: where there is no key at all a start makes one, and a check does not.
  await openPeople({ ...config, authorizedKeys: await keyFilePaths(config) }, tried, log)
  await checkLogins(config, complaints)
}

/** What opens the parts says in the log what is wrong with a file, and goes on. */
function listeningLog({ problem, warn }: Complaints): Logger {
  return pino(
    { base: null },
    {
      write(line: string) {
        const { level, msg, file, program, reason } = JSON.parse(line) as Record<string, unknown>
        const text = [file ?? program, msg, reason].filter((part) => typeof part === 'string').join(': ')
        if (Number(level) >= ERROR) problem([], text)
        // Who could log in is asked by checkLogins(), which knows more.
        else if (Number(level) >= WARN && file !== undefined) warn([], text)
      },
    },
  )
}

async function checkText(key: 'banner' | 'motd', file: string | undefined, { warn }: Complaints): Promise<void> {
  if (file === undefined) return
  await readFile(file).catch((error: unknown) => warn([key], `cannot be read, none is shown (${messageOf(error)})`))
}

/** Without its program, what it is asked about is refused. */
function checkPrograms(config: Config, { problem, warn }: Complaints): void {
  for (const key of ['authorizedKeysCommand', 'authorizedPrincipalsCommand'] as const) {
    const command = config[key]
    const [program] = (typeof command === 'string' ? splitArguments(command) : command) ?? []
    // One that is not absolute is refused where it is opened.
    const reason = program !== undefined && isAbsolute(program) ? whyUnsafe(program) : undefined
    if (reason !== undefined) problem([key], `it would not be run: ${reason}`)
  }
  const [anchor] = config.audit.anchorCommand ?? []
  if (anchor !== undefined && !isAbsolute(anchor))
    problem(['audit', 'anchorCommand'], 'its program must be an absolute path')
  const unsafe = anchor !== undefined && isAbsolute(anchor) ? whyUnsafe(anchor) : undefined
  if (unsafe !== undefined) warn(['audit', 'anchorCommand'], `heads would not be kept there: ${unsafe}`)
  const [program] = config.authorization.command ?? []
  const reason = program !== undefined && isAbsolute(program) ? whyUnsafe(program) : undefined
  if (reason !== undefined) problem(['authorization', 'command'], `everything would be refused: ${reason}`)
}

function checkPlaces(config: Config, { problem, warn }: Complaints): void {
  const { keysDirectory, controlSocket, log, metrics } = config
  const keys = whyNotWritable(nearestPath(keysDirectory), true)
  if (keys !== undefined) {
    const needed = config.hostKeys.length === 0 || Object.keys(config.templates ?? {}).length > 0
    if (needed && !ownHostKeys(keysDirectory).every(({ file }) => existsSync(file))) problem(['keysDirectory'], keys)
    else warn(['keysDirectory'], keys)
  }
  const checkSocket = (key: KeyPath, path: string) => {
    const tooLong = Buffer.byteLength(path) > MAX_SOCKET_PATH_BYTES
    const reason = tooLong ? `longer than ${MAX_SOCKET_PATH_BYTES} bytes` : whyNotWritable(dirname(path), true)
    if (reason !== undefined) problem(key, reason)
  }
  if (controlSocket !== undefined) checkSocket(['controlSocket'], controlSocket)
  if (metrics.listen.kind === 'unix') checkSocket(['metrics', 'listen'], metrics.listen.path)
  if (log.file !== undefined) {
    const reason = whyNotWritable(existsSync(log.file) ? log.file : dirname(log.file), !existsSync(log.file))
    if (reason !== undefined) warn(['log', 'file'], `the gateway would run without a log: ${reason}`)
  }
  const { directory: records } = config.recording
  if (records !== undefined) {
    const reason = whyNotWritable(nearestPath(records), true)
    if (reason !== undefined) problem(['recording', 'directory'], reason)
  }
  const { file: trail, anchorFile } = config.audit
  if (trail !== undefined) {
    // Its lock and its other files are made beside it.
    const reason =
      whyNotWritable(dirname(trail), true) ?? (existsSync(trail) ? whyNotWritable(trail, false) : undefined)
    if (reason !== undefined) problem(['audit', 'file'], reason)
  }
  if (anchorFile !== undefined) {
    const reason = whyNotWritable(existsSync(anchorFile) ? anchorFile : dirname(anchorFile), !existsSync(anchorFile))
    if (reason !== undefined) warn(['audit', 'anchorFile'], `heads would not be kept there: ${reason}`)
  }
}

function whyNotWritable(path: string, asDirectory: boolean): string | undefined {
  try {
    if (statSync(path).isDirectory() !== asDirectory) return `${path} is ${asDirectory ? 'no' : 'a'} directory`
    accessSync(path, asDirectory ? constants.W_OK | constants.X_OK : constants.W_OK)
    return undefined
  } catch (error) {
    return `${path} cannot be written to (${error instanceof Error && 'code' in error ? error.code : messageOf(error)})`
  }
}

function nearestPath(path: string): string {
  return existsSync(path) || path === dirname(path) ? path : nearestPath(dirname(path))
}
