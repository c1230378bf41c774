/** The checks of `hatchway doctor`. Each checks one thing, changes nothing, and does not stop the others. */
import { accessSync, constants, existsSync } from 'node:fs'
import { dirname } from 'node:path'
import { loadHostKeys, ownHostKeys } from '../auth/hostkeys.ts'
import { keyFilePaths, readKeyFile } from '../auth/key-files.ts'
import { asHatchwayError, isErrno, messageOf } from '../base/errors.ts'
import { PACKAGE_ROOT } from '../base/package-root.ts'
import { plural } from '../base/plural.ts'
import { PROGRAM_NAME } from '../base/program-name.ts'
import { ConfigError, type LoadedConfig } from '../config/load.ts'
import type { Config } from '../config/schema.ts'
import { loadBinary } from '../guest/deliver/binary.ts'
import { examineClock } from './examine-clock.ts'
import { examineEngine } from './examine-engine.ts'
import { examineGuest } from './examine-guest.ts'
import { examineMetrics } from './examine-metrics.ts'
import { examinePort } from './examine-port.ts'
import { examineSsh } from './examine-ssh.ts'
import type { Finding } from './finding.ts'
import { type ConfigFlags, configFrom } from './flags.ts'

const NODE_NEEDED = [20, 19] as const
/** The binding of ssh2 1.17 uses Context::GetIsolate(), which V8 has no more: it cannot be compiled. */
const WITHOUT_BINDING = 26

/** Elsewhere than in the package's own folder npm finds no ssh2, and says "rebuilt"; so it does when the compiler failed. */
const REBUILD = `npm rebuild --foreground-scripts --prefix ${PACKAGE_ROOT} ssh2`

export async function examine(flags: ConfigFlags, login?: string): Promise<Finding[]> {
  const node = nodeVersion(process.versions.node)
  let loaded: LoadedConfig
  try {
    loaded = configFrom(flags)
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    const advice = `put that right; \`${PROGRAM_NAME} config example\` shows every key`
    return [node, ...error.problems.map((found) => ({ check: 'config', state: 'fail' as const, found, advice }))]
  }
  const { config, file } = loaded
  const groups = await Promise.all([
    examineEngine(config),
    loginKeys(config),
    hostKeys(config),
    Promise.all(config.listen.map((address) => examinePort(address, loaded))),
    examineMetrics(config),
    Promise.all([nativeCrypto(), pty(config), helper(config), examineClock()]),
    examineSsh(),
    login === undefined ? [] : examineGuest(config, login),
  ])
  return [node, { check: 'config', state: 'ok', found: file ?? 'no file: the defaults' }, ...groups.flat()]
}

export function nodeVersion(version: string): Finding {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  const enough = major > NODE_NEEDED[0] || (major === NODE_NEEDED[0] && minor >= NODE_NEEDED[1])
  if (enough) return { check: 'node', state: 'ok', found: version }
  return { check: 'node', state: 'fail', found: version, advice: `install Node.js ${NODE_NEEDED.join('.')} or newer` }
}

async function loginKeys(config: Config): Promise<Finding[]> {
  const check = 'login keys'
  const usersFiles = Object.values(config.users).flatMap(({ authorizedKeys }) => authorizedKeys)
  const paths = [...usersFiles, ...(await keyFilePaths(config))]
  const files = (await Promise.all(paths.map((path) => readKeyFile(path, undefined)))).filter(
    (file) => file !== undefined,
  )
  const bad = files.flatMap(({ path, unsafe, parsed }): Finding[] => {
    if (unsafe !== undefined)
      return [{ check, state: 'warn', found: `${path} is ignored: ${unsafe}`, advice: 'sshd ignores it, too' }]
    return (parsed?.refused ?? []).map(({ line, reason }) => {
      return { check, state: 'warn', found: `${path}:${line} is ignored: ${reason}`, advice: 'correct that line' }
    })
  })
  const keys = files.flatMap(({ parsed }) => parsed?.keys ?? []).length
  if (keys > 0) return [{ check, state: 'ok', found: `${keys} in ${plural(files.length, 'file')}` }, ...bad]
  if (config.authorizedKeys === undefined) {
    return [{ check, state: 'ok', found: `none yet: serve makes one in ${config.keysDirectory}` }, ...bad]
  }
  const found = `no usable key in ${config.authorizedKeys.join(', ')}`
  return [{ check, state: 'fail', found, advice: 'put a public key (ssh-keygen, *.pub) in there' }, ...bad]
}

async function hostKeys(config: Config): Promise<Finding[]> {
  const check = 'host keys'
  if (config.hostKeys.length === 0 && !ownHostKeys(config.keysDirectory).every(({ file }) => existsSync(file))) {
    const existing = nearestDirectory(config.keysDirectory)
    try {
      accessSync(existing, constants.W_OK)
      return [{ check, state: 'ok', found: `none yet: serve makes them in ${config.keysDirectory}` }]
    } catch {
      const advice = 'set keysDirectory to a directory of yours'
      return [{ check, state: 'fail', found: `cannot be made: ${existing} is not writable`, advice }]
    }
  }
  try {
    const skipped: string[] = []
    const keys = await loadHostKeys(config, (sentence) => skipped.push(sentence))
    return [
      ...keys.map(({ type, fingerprint }): Finding => ({ check, state: 'ok', found: `${fingerprint} ${type}` })),
      ...skipped.map((found): Finding => ({ check, state: 'warn', found, advice: 'take it out of hostKeys' })),
    ]
  } catch (error) {
    const found = asHatchwayError(error).message
    return [{ check, state: 'fail', found, advice: hostKeyAdvice(config, found) }]
  }
}

function hostKeyAdvice({ hostKeys }: Config, found: string): string {
  if (/chmod/.test(found)) return 'run that chmod'
  return hostKeys.length > 0
    ? 'name another file in hostKeys, or none: then keys are made'
    : 'put the file back from a backup; or remove it: another key is made, and every client asks about it'
}

function nearestDirectory(path: string): string {
  return existsSync(path) || path === dirname(path) ? path : nearestDirectory(dirname(path))
}

async function nativeCrypto(): Promise<Finding> {
  const check = 'crypto'
  try {
    const { nativeCryptoAvailable } = await import('../ssh/ssh2.ts')
    if (nativeCryptoAvailable()) return { check, state: 'ok', found: "ssh2's native binding" }
    const advice = bindingAdvice(process.versions.node)
    return { check, state: 'warn', found: 'no native binding of ssh2: ciphers take twice the CPU', advice }
  } catch (error) {
    return { check, state: 'fail', found: messageOf(error), advice: 'npm ci' }
  }
}

export function bindingAdvice(node: string): string {
  return Number.parseInt(node, 10) < WITHOUT_BINDING
    ? `all works without it; to have it, install a C++ compiler and make, then \`${REBUILD}\``
    : `all works without it; it cannot be compiled for node ${WITHOUT_BINDING}, but for node 24`
}

/** Only terminals of the cli engine need it, and only where the guest helper does not run. */
async function pty({ engine, engines = {} }: Config): Promise<Finding> {
  const check = 'node-pty'
  try {
    await import('node-pty')
    return { check, state: 'ok', found: 'loads' }
  } catch (error) {
    const missing = isErrno(error, 'ERR_MODULE_NOT_FOUND')
    const kinds = [engine, ...Object.values(engines)].map(({ kind }) => kind)
    if (missing && !kinds.includes('cli')) return { check, state: 'ok', found: 'not installed, and not needed' }
    const found = missing ? 'not installed' : `does not load: ${messageOf(error).split('\n')[0]}`
    const step = missing ? 'npm install node-pty@1.1.0` beside hatchway' : 'npm rebuild node-pty`'
    const advice = `install a C++ compiler and make, then \`${step}: for terminals of the cli engine without the guest helper`
    return { check, state: 'warn', found, advice }
  }
}

async function helper({ guest }: Config): Promise<Finding> {
  const check = 'guest helper'
  if (guest === 'off') return { check, state: 'ok', found: 'off' }
  const binary = await loadBinary(process.arch)
  if (binary)
    return { check, state: 'ok', found: `built for ${process.arch}, ${Math.ceil(binary.bytes.length / 1024)} KiB` }
  const advice =
    'install a C compiler and make, then `npm run build`; without it sessions have no signals, sftp, forwards'
  return { check, state: guest === 'require' ? 'fail' : 'warn', found: `not built for ${process.arch}`, advice }
}
