/** The text of our ssh_config file and its known_hosts; whoever calls has checked the names in it. */
import { homedir } from 'node:os'
import { splitArguments } from '../../auth/argv.ts'
import { type HostKey, publicLine } from '../../auth/hostkeys.ts'
import { CliFailure } from '../../control/cli-failure.ts'

export interface EntrySettings {
  /** The `hatchway connect` command: program and arguments, which the container's name follows. */
  readonly connect: readonly string[]
  /** Hosts that may be typed, each with the name of its container. */
  readonly hosts: readonly string[]
  /** ".ctr": NAME.ctr is a host for every container, also for those that are made later. */
  readonly suffixes: readonly string[]
  readonly knownHosts: string
  readonly identityFile?: string | undefined
  /** Lines that win over ours. */
  readonly options: readonly string[]
}

export const WRITTEN = '# Written by `hatchway config-ssh`, which overwrites it.\n'
/** One host key for all containers: the gateway's. */
const ALIAS = 'hatchway'
const OPTION = /^([a-z][a-z0-9]*)(?:\s*=\s*|\s+)(\S.*)$/i
/** They begin another block, or another file. */
const STRUCTURE = /^(?:host|match|include)$/i
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what must not be there
const CONTROL = /[\u0000-\u001f\u007f]/

export function entries(settings: EntrySettings): string {
  const blocks = [
    ...settings.hosts.map((host) => block(host, word(host), settings)),
    ...settings.suffixes.map((suffix) => block(`*${suffix}`, "'%h'", settings)),
  ]
  return `${WRITTEN}${blocks.join('')}`
}

function block(pattern: string, name: string, settings: EntrySettings): string {
  const { connect, knownHosts, identityFile, options } = settings
  const lines = [
    ...options,
    `ProxyCommand ${connect.map(word).join(' ')} ${name}`,
    'Port 22',
    // The container's own user, if none is typed.
    'User @',
    ...pinned(knownHosts),
    ...(identityFile === undefined ? [] : [`IdentityFile ${quoted(identityFile)}`]),
  ]
  return `\nHost ${pattern}\n${lines.map((line) => `  ${line}\n`).join('')}`
}

/** Settings with which ssh takes the gateway's keys and no others, and asks nobody. */
export function pinned(knownHosts: string): string[] {
  return [
    `HostKeyAlias ${ALIAS}`,
    `UserKnownHostsFile ${quoted(knownHosts)}`,
    'StrictHostKeyChecking yes',
    'UpdateHostKeys no',
  ]
}

/** Returns the lines of `-o` options as ssh takes them. @throws CliFailure */
export function optionLines(options: readonly string[]): string[] {
  return options.map((option) => {
    const [, key = '', value = ''] = OPTION.exec(option.trim()) ?? []
    if (key === '' || CONTROL.test(option) || STRUCTURE.test(key)) {
      throw new CliFailure(`no option of a host: ${JSON.stringify(option)}; expected one such as ForwardAgent=yes`)
    }
    return `${key} ${value}`
  })
}

export function knownHostsText(hostKeys: readonly Pick<HostKey, 'type' | 'blob'>[], host = ALIAS): string {
  return hostKeys.map((key) => `${host} ${publicLine(key)}\n`).join('')
}

/** Returns the programs (node and ours) that the ProxyCommands of such a text run. */
export function proxyFiles(text: string): string[] {
  const commands = [...text.matchAll(/^ {2}ProxyCommand (.*)$/gm)].map(([, command = '']) => command)
  const words = commands.flatMap((command) => (splitArguments(command) ?? []).slice(0, 2))
  return [...new Set(words)].map((path) => path.replaceAll('%%', '%'))
}

/** Quotes for any shell that may run the ProxyCommand; ssh itself expands "%". */
function word(text: string): string {
  const escaped = text.replaceAll('%', '%%')
  return /^[\w@+:,./%-]+$/.test(escaped) ? escaped : `'${escaped.replaceAll("'", "'\\''")}'`
}

/** A file name as a value of ssh's options. */
export function optionPath(path: string): string {
  const escaped = path.replaceAll('%', '%%')
  return /\s/.test(escaped) ? `"${escaped}"` : escaped
}

/** A file name as ssh_config quotes it. */
function quoted(path: string): string {
  return `"${portablePath(path).replaceAll('%', '%%')}"`
}

/** As every OpenSSH reads it: Windows' own takes no backslash in quotes, and knows "~". */
export function portablePath(path: string, platform = process.platform, home = homedir()): string {
  if (platform !== 'win32') return path
  const under = path.startsWith(`${home}\\`) ? `~${path.slice(home.length)}` : path
  return under.replaceAll('\\', '/')
}
