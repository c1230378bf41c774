/** `hatchway config-ssh`: makes containers hosts for ssh (`ssh dev@web`), scp, rsync and IDEs. */
import { lstat, mkdtemp, readdir, rm, rmdir, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline/promises'
import { home } from '../auth/safe-file.ts'
import { messageOf } from '../base/errors.ts'
import type { Config } from '../config/schema.ts'
import { CliFailure } from '../control/cli-failure.ts'
import { optionLines } from './ssh-config/entries.ts'
import { apply, type Change, changes, difference, plannedChange } from './ssh-config/files.ts'
import type { EngineSource } from './ssh-config/from-engine.ts'
import { demandSuffixes, fromGateway, gatewayOf } from './ssh-config/from-gateway.ts'
import type { Hosts } from './ssh-config/hosts.ts'
import {
  hasInclude,
  hasInline,
  includeLine,
  isOurFile,
  partsOf,
  withInclude,
  withInline,
  withoutOurs,
} from './ssh-config/include.ts'
import type { HostSource } from './ssh-config/source.ts'
import { createTaken } from './ssh-config/taken.ts'

export interface ConfigSshOptions {
  readonly dryRun: boolean
  readonly yes: boolean
  readonly watch: boolean
  readonly uninstall: boolean
  /** The hosts stand in the user's own ssh_config, and in no file of ours. */
  readonly inline: boolean
  /** More settings for these hosts, as ssh's -o takes them. */
  readonly option: readonly string[]
  /** A gateway on another machine; undefined: the containers of this one. */
  readonly gateway: string | undefined
  /** Of a gateway on another machine: patterns that lead there; undefined: the usual one. */
  readonly suffix: readonly string[] | undefined
  /** The user's own ssh_config. */
  readonly sshConfig: string | undefined
  /** Flags with which `hatchway connect` loads the same configuration. */
  readonly again: readonly string[]
}

type Print = (text: string) => void

/** Where everything is written. */
interface Places {
  readonly sshConfig: string
  readonly folder: string
  readonly entries: string
  readonly knownHosts: string
}

/** Events come in bursts: a compose project is a dozen. */
const SETTLE_MS = 300

/** @param config read if it is needed: a gateway elsewhere has one of its own */
export async function configSsh(config: () => Config, options: ConfigSshOptions, print: Print): Promise<void> {
  const sshConfig = resolve(options.sshConfig ?? join(home(), '.ssh', 'config'))
  const folder = join(sshConfig, '..', 'hatchway')
  const ssh = options.sshConfig === undefined ? [] : ['-F', sshConfig]
  if (options.suffix && options.gateway === undefined) {
    throw new CliFailure('--suffix is for --gateway; for the containers of this machine see hostSuffixes')
  }
  demandSuffixes(options.suffix ?? [])
  const gateway = options.gateway === undefined ? undefined : await gatewayOf(options.gateway, ssh)
  const prefix = gateway ? `${gateway.host.replaceAll(':', '_')}-${gateway.port}.` : ''
  const places = {
    sshConfig,
    folder,
    entries: join(folder, `${prefix}config`),
    knownHosts: join(folder, `${prefix}known_hosts`),
  }
  if (options.uninstall) return uninstall(places, gateway !== undefined, options, print)
  if (gateway && options.watch) throw new CliFailure('--watch follows the containers of this machine, not --gateway')

  const settings = { knownHosts: places.knownHosts, options: optionLines(options.option) }
  if (gateway) return write(fromGateway(gateway, ssh, settings, options.suffix), places, options, print)
  const { fromEngine } = await import('./ssh-config/from-engine.ts')
  const source = await fromEngine(config(), join(sshConfig, '..'), options.again, settings)
  try {
    await write(source, places, options, print)
    if (options.watch && !options.dryRun) await watch(source, places, options, print)
  } finally {
    await source.close()
  }
}

async function write(source: HostSource, places: Places, options: ConfigSshOptions, print: Print): Promise<void> {
  const { ours, own, report, next } = await plan(source, places, options.inline)
  const inForce = options.inline ? hasInline(own.before, places.entries) : hasInclude(own.before, places.entries)
  const wider = options.gateway !== undefined && inForce ? newSuffixes([...ours, own]) : []
  if (options.dryRun) {
    const differences = await Promise.all([...ours, own].filter(changes).map(difference))
    print(differences.length === 0 ? 'nothing would change\n' : differences.join('\n'))
    print(report)
    return
  }
  // The question about the Include line was answered when there were fewer.
  if (wider.length > 0 && !options.yes && !(await agrees(`Lead all hosts ${wider.join(', ')} there from now on? `))) {
    throw new CliFailure(`the hosts stay as they are: ${wider.join(', ')} would be new; run this again with --yes`)
  }
  for (const change of ours.filter(changes)) await apply(change)
  print(report)
  if (changes(own)) await change(own, places, options, print)
  print(next)
}

interface Plan {
  readonly ours: readonly Change[]
  readonly own: Change
  readonly report: string
  readonly next: string
}

async function plan(source: HostSource, places: Places, inline: boolean): Promise<Plan> {
  const { sshConfig } = places
  const { before } = await plannedChange(sshConfig, (text) => text)
  const copyFolder = await mkdtemp(join(tmpdir(), 'hatchway-ssh-'))
  try {
    const copy = join(copyFolder, 'config')
    await writeFile(copy, withoutOurs(before, places.entries), { mode: 0o600 })
    const taken = await createTaken(copy, join(sshConfig, '..', 'known_hosts'))
    const { hosts, left, entries, knownHosts } = await source.plan(taken)
    const ours = await Promise.all([
      plannedChange(places.knownHosts, () => knownHosts),
      plannedChange(places.entries, () => (inline ? undefined : entries)),
    ])
    const own = await plannedChange(sshConfig, (text) =>
      inline ? withInline(text, places.entries, entries) : withInclude(text, places.entries),
    )
    return { ours, own, report: summary(hosts, left), next: whatToType(hosts.example, sshConfig) }
  } finally {
    await rm(copyFolder, { recursive: true, force: true })
  }
}

/** Changes the user's own file, with their consent. */
async function change(own: Change, { entries }: Places, options: ConfigSshOptions, print: Print): Promise<void> {
  const line = includeLine(entries)
  const question = options.inline
    ? `Put these hosts at the top of ${own.file}?\n\n`
    : `Put this line at the top of ${own.file}?\n\n    ${line}\n\n`
  const agreed = options.yes || (options.inline && hasInline(own.before, entries)) || (await agrees(question))
  if (!agreed) {
    const by = options.inline ? '' : `, or put this line into it: ${line}`
    throw new CliFailure(`${own.file} stays as it is; run this again with --yes${by}`)
  }
  await apply(own)
  print(`${own.file} ${options.inline ? 'has' : 'includes'} them.\n`)
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

/** Patterns that stand in none of the files yet. */
function newSuffixes(planned: readonly Change[]): string[] {
  const patterns = (texts: readonly string[]) =>
    texts.flatMap((text) => [...text.matchAll(/^Host (.*)$/gm)].flatMap(([, names = '']) => names.split(' ')))
  const before = patterns(planned.map((change) => change.before))
  const after = patterns(planned.map((change) => change.after ?? ''))
  return [...new Set(after)].filter((pattern) => pattern.startsWith('*.') && !before.includes(pattern))
}

function summary({ served, suffixes, taken }: Hosts, more: readonly string[]): string {
  const hosts = served.length === 0 ? 'no container to name now' : `hosts: ${served.join(', ')}`
  const any = suffixes.map((suffix) => `; any container as NAME${suffix}`).join('')
  const left = taken.map((name) => `${name} is a host you know already, and stays what it was\n`).join('')
  return `${hosts}${any}\n${left}${more.map((sentence) => `${sentence}\n`).join('')}`
}

function whatToType(host: string | undefined, sshConfig: string): string {
  if (host === undefined) return 'No container runs that you may enter: start one, and run this again.\n'
  const file = sshConfig === join(home(), '.ssh', 'config') ? '' : `-F ${sshConfig} `
  return `Type: ssh ${file}${host}, or ssh ${file}USER@${host}\n`
}

async function watch(source: EngineSource, places: Places, { inline }: ConfigSshOptions, print: Print): Promise<void> {
  const stop = new AbortController()
  // Not once(): its listener removes itself first; execa's signal-exit finds none and kills the process.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => stop.abort())
  let due: NodeJS.Timeout | undefined
  let last = Promise.resolve()
  const rewrite = async () => {
    const { ours, own, report } = await plan(source, places, inline)
    const changed = [...ours, ...(inline ? [own] : [])].filter(changes)
    for (const change of changed) await apply(change)
    if (changed.length > 0) print(report)
  }
  for await (const event of source.engine.events(stop.signal)) {
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

/** Takes out what was written for one gateway, or everything. */
async function uninstall(places: Places, one: boolean, options: ConfigSshOptions, print: Print): Promise<void> {
  const { sshConfig, folder } = places
  const there = one ? [] : (await readdir(folder).catch(() => [])).map((name) => join(folder, name))
  const files = [...new Set([places.entries, places.knownHosts, ...there.filter((file) => isOurFile(file))])]
  // The hosts of an --inline have no file of their own, but their known_hosts is there.
  const parts = partsOf(files)
  const isLink = await lstat(sshConfig).then(
    (stats) => stats.isSymbolicLink(),
    () => false,
  )
  const own = await plannedChange(sshConfig, (text) => {
    const rest = [...parts].reduce(withoutOurs, text)
    // There was none before us, or an empty one. A link is the person's own.
    return rest === '' && !isLink ? undefined : rest
  })
  const gone = await Promise.all(files.map((file) => plannedChange(file, () => undefined)))
  const all = [own, ...gone].filter(changes)
  if (options.dryRun) return print((await Promise.all(all.map(difference))).join('\n') || 'nothing would change\n')
  for (const change of all) await apply(change)
  await rmdir(folder).catch(() => {})
  print(all.length === 0 ? 'nothing to remove\n' : `removed from ${sshConfig}\n`)
}
