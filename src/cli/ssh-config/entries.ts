/** The text of our ssh_config file and its known_hosts. Others choose the names in it, so each is checked. */
import { splitArguments } from '../../auth/argv.ts'
import { type HostKey, publicLine } from '../../auth/hostkeys.ts'

export interface EntrySettings {
  /** The `hatchway connect` command: program and arguments, which the container's name follows. */
  readonly connect: readonly string[]
  /** Hosts that may be typed, each with the name of its container. */
  readonly hosts: readonly string[]
  /** ".ctr": NAME.ctr is a host for every container, also for those that are made later. */
  readonly suffixes: readonly string[]
  readonly knownHosts: string
  readonly identityFile?: string | undefined
}

/** One host key for all containers: the gateway's. */
const ALIAS = 'hatchway'
/** Names that engines accept, without pattern characters, blanks and quotes. */
const PLAIN_NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,252}$/

export function isHostName(name: string): boolean {
  return PLAIN_NAME.test(name)
}

export function entries(settings: EntrySettings): string {
  const blocks = [
    ...settings.hosts.map((host) => block(host, word(host), settings)),
    ...settings.suffixes.map((suffix) => block(`*${suffix}`, "'%h'", settings)),
  ]
  return `# Written by \`hatchway config-ssh\`, which overwrites it.\n${blocks.join('')}`
}

function block(pattern: string, name: string, { connect, knownHosts, identityFile }: EntrySettings): string {
  const lines = [
    `ProxyCommand ${connect.map(word).join(' ')} ${name}`,
    'Port 22',
    // The container's own user, if none is typed.
    'User @',
    `HostKeyAlias ${ALIAS}`,
    `UserKnownHostsFile ${quoted(knownHosts)}`,
    'StrictHostKeyChecking yes',
    'UpdateHostKeys no',
    ...(identityFile === undefined ? [] : [`IdentityFile ${quoted(identityFile)}`]),
  ]
  return `\nHost ${pattern}\n${lines.map((line) => `  ${line}\n`).join('')}`
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
  return `"${path.replaceAll('%', '%%')}"`
}
