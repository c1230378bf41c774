/** `hatchway config-ssh`: makes containers hosts for ssh (`ssh dev@web`), scp, rsync and IDEs. */
import { existsSync } from 'node:fs'
import { mkdtemp, rm, rmdir, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline/promises'
import { type HostKey, loadHostKeys, publicLine } from '../auth/hostkeys.ts'
import { ownKey } from '../auth/key-files.ts'
import { home } from '../auth/safe-file.ts'
import { messageOf } from '../base/errors.ts'
import { PACKAGE_ROOT } from '../base/package-root.ts'
import type { Config } from '../config/schema.ts'
import { CliFailure } from '../control/cli-failure.ts'
import { runningGateways } from '../control/running.ts'
import { openEngine } from '../engine/choose.ts'
import type { Engine } from '../engine/engine.ts'
import { engineLimit } from '../engine/messages.ts'
import { deadline } from '../lifetime/deadline.ts'
import { createLog, type Logger } from '../observe/log.ts'
import { at } from '../observe/log-line.ts'
import { entries, knownHostsText } from './ssh-config/entries.ts'
import { apply, type Change, changes, difference, plannedChange } from './ssh-config/files.ts'
import { createHosts } from './ssh-config/hosts.ts'
import { includeLine, withInclude, withoutInclude } from './ssh-config/include.ts'
import { createTaken } from './ssh-config/taken.ts'

export interface ConfigSshOptions {
  readonly dryRun: boolean
  readonly yes: boolean
  readonly watch: boolean
  readonly uninstall: boolean
  /** The user's own ssh_config. */
  readonly sshConfig: string | undefined
  /** Flags with which `hatchway connect` loads the same configuration. */
  readonly again: readonly string[]
}

type Print = (text: string) => void

const ENGINE_MS = 20_000
/** Events come in bursts: a compose project is a dozen. */
const SETTLE_MS = 300

export async function configSsh(config: Config, options: ConfigSshOptions, print: Print): Promise<void> {
  const sshConfig = resolve(options.sshConfig ?? join(home(), '.ssh', 'config'))
  const folder = join(sshConfig, '..', 'hatchway')
  const files = { entries: join(folder, 'config'), knownHosts: join(folder, 'known_hosts') }
  if (options.uninstall) return uninstall(sshConfig, folder, Object.values(files), options, print)

  const { log, close } = await createLog({ ...config.log, level: 'warn' })
  const engine = await openEngine(config.engine, deadline(engineLimit('listing containers', ENGINE_MS)))
  try {
    const write = await createWriter(config, engine, sshConfig, files, options, log)
    const own = await plannedChange(sshConfig, (text) => withInclude(text, files.entries))
    const { planned: ours, report, next } = await write.plan()
    if (options.dryRun) {
      const differences = await Promise.all([...ours, own].filter(changes).map(difference))
      print(differences.length === 0 ? 'nothing would change\n' : differences.join('\n'))
      print(report)
      return
    }
    for (const change of ours.filter(changes)) await apply(change)
    print(report)
    if (changes(own)) await include(own, files.entries, options, print)
    print(next)
    if (options.watch) await watch(engine, write, print)
  } finally {
    await engine.close()
    await close()
  }
}

async function include(own: Change, file: string, options: ConfigSshOptions, print: Print): Promise<void> {
  if (!options.yes && !(await agrees(`Put this line at the top of ${own.file}?\n\n    ${includeLine(file)}\n\n`))) {
    throw new CliFailure(
      `${own.file} stays as it is; run this again with --yes, or put this line into it: ${includeLine(file)}`,
    )
  }
  await apply(own)
  print(`${own.file} includes them.\n`)
}

async function agrees(question: string): Promise<boolean> {
  if (!process.stdin.isTTY) return false
  const line = createInterface({ input: process.stdin, output: process.stderr })
  const closed = new AbortController()
  line.once('close', () => closed.abort())
  try {
    return /^y(es)?$/i.test((await line.question(`${question}[y/N] `, { signal: closed.signal })).trim())
  } catch {
    return false
  } finally {
    line.close()
  }
}

interface Writer {
  plan(): Promise<{ readonly planned: readonly Change[]; readonly report: string; readonly next: string }>
}

async function createWriter(
  config: Config,
  engine: Engine,
  sshConfig: string,
  files: { readonly entries: string; readonly knownHosts: string },
  options: ConfigSshOptions,
  log: Logger,
): Promise<Writer> {
  const sshFolder = join(sshConfig, '..')
  const hostKeys = await loadHostKeys(config, () => {})
  const gateway = await gatewayAddress(config, hostKeys)
  const hosts = await createHosts(config, engine, sshFolder, log)
  const key = ownKey(config.keysDirectory)
  const program = [process.execPath, join(PACKAGE_ROOT, 'dist', 'main.js'), 'connect']
  const own = ['--gateway', gateway, '--known-hosts', files.knownHosts]
  const socket = config.controlSocket === undefined ? [] : ['--control-socket', config.controlSocket]
  const settings = {
    connect: [...program, ...own, ...socket, ...options.again, '--'],
    suffixes: config.hostSuffixes,
    knownHosts: files.knownHosts,
    identityFile: config.authorizedKeys === undefined && existsSync(key) ? key : undefined,
  }
  return {
    async plan() {
      const { before } = await plannedChange(sshConfig, (text) => text)
      const copyFolder = await mkdtemp(join(tmpdir(), 'hatchway-ssh-'))
      try {
        const copy = join(copyFolder, 'config')
        await writeFile(copy, withoutInclude(before, files.entries), { mode: 0o600 })
        const isTaken = await createTaken(copy, join(sshFolder, 'known_hosts'))
        const { served, taken, example } = await hosts(isTaken, deadline(engineLimit('listing containers', ENGINE_MS)))
        return {
          planned: await Promise.all([
            plannedChange(files.knownHosts, () => knownHostsText(hostKeys)),
            plannedChange(files.entries, () => entries({ ...settings, hosts: served })),
          ]),
          report: summary(served, taken, config.hostSuffixes),
          next: whatToType(example, sshConfig),
        }
      } finally {
        await rm(copyFolder, { recursive: true, force: true })
      }
    },
  }
}

function summary(served: readonly string[], taken: readonly string[], suffixes: readonly string[]): string {
  const hosts = served.length === 0 ? 'no container to name now' : `hosts: ${served.join(', ')}`
  const any = suffixes.map((suffix) => `; any container as NAME${suffix}`).join('')
  const left = taken.map((name) => `${name} is a host you know already, and stays what it was\n`).join('')
  return `${hosts}${any}\n${left}`
}

function whatToType(host: string | undefined, sshConfig: string): string {
  if (host === undefined) return 'No container runs that you may enter: start one, and run this again.\n'
  const file = sshConfig === join(home(), '.ssh', 'config') ? '' : `-F ${sshConfig} `
  return `Type: ssh ${file}${host}, or ssh ${file}USER@${host}\n`
}

/** Returns where the person's own gateway with these host keys listens, at whatever port; or where it would if it ran. */
async function gatewayAddress(config: Config, hostKeys: readonly HostKey[]): Promise<string> {
  const own = hostKeys.map(publicLine)
  const running = await runningGateways(config.controlSocket)
  const endpoints = running.flatMap(({ hostKeys, endpoints }) =>
    hostKeys.some((key) => own.includes(key)) ? endpoints : [],
  )
  const [wanted = { host: '127.0.0.1', port: 2222 }] = config.listen
  const { host, port } = endpoints.find(({ port }) => port === wanted.port) ?? endpoints[0] ?? wanted
  return at({ address: host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host, port })
}

async function watch(engine: Engine, writer: Writer, print: Print): Promise<void> {
  const stop = new AbortController()
  // Not once(): its listener removes itself first; execa's signal-exit finds none and kills the process.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => stop.abort())
  let due: NodeJS.Timeout | undefined
  let last = Promise.resolve()
  const rewrite = async () => {
    const { planned: ours, report } = await writer.plan()
    const changed = ours.filter(changes)
    for (const change of changed) await apply(change)
    if (changed.length > 0) print(report)
  }
  for await (const event of engine.events(stop.signal)) {
    // An engine that cannot be asked removes no host.
    if (event.type === 'lost') {
      print(`${event.error.message}: the hosts stay as they are\n`)
      continue
    }
    // An exec changes no container, and every session begins with one.
    if (event.type === 'container' && event.action.startsWith('exec')) continue
    due ??= setTimeout(() => {
      due = undefined
      // An engine that is away comes back with an event.
      last = last.then(rewrite).catch((error: unknown) => print(`${messageOf(error)}\n`))
    }, SETTLE_MS)
  }
  clearTimeout(due)
  await last
}

async function uninstall(
  sshConfig: string,
  folder: string,
  files: readonly string[],
  options: ConfigSshOptions,
  print: Print,
): Promise<void> {
  const own = await plannedChange(sshConfig, (text) => withoutInclude(text, join(folder, 'config')))
  const gone = await Promise.all(files.map((file) => plannedChange(file, () => undefined)))
  const all = [own, ...gone].filter(changes)
  if (options.dryRun) return print((await Promise.all(all.map(difference))).join('\n') || 'nothing would change\n')
  for (const change of all) await apply(change)
  await rmdir(folder).catch(() => {})
  print(all.length === 0 ? 'nothing to remove\n' : `removed from ${sshConfig}\n`)
}
