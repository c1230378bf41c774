/** The text of our ssh_config file and its known_hosts. Pure; every name in it is somebody else's, and checked. */
import type { HostKey } from '../../auth/hostkeys.ts'

export interface EntrySettings {
  /** What runs `hatchway connect`: program and arguments, the container's name to follow. */
  readonly connect: readonly string[]
  /** A host that may be typed, and the name of a container that it stands for. */
  readonly hosts: readonly string[]
  /** ".ctr": every container has a host of that kind, also those that are made later. */
  readonly suffixes: readonly string[]
  readonly knownHosts: string
  readonly identityFile?: string | undefined
}

/** One key for all containers: the gateway's. */
const ALIAS = 'hatchway'
/** What engines accept; no pattern, blank or quote among it. */
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
    // The container's own user, where none is typed.
    'User @',
    `HostKeyAlias ${ALIAS}`,
    `UserKnownHostsFile ${quoted(knownHosts)}`,
    'StrictHostKeyChecking yes',
    'UpdateHostKeys no',
    ...(identityFile === undefined ? [] : [`IdentityFile ${quoted(identityFile)}`]),
  ]
  return `\nHost ${pattern}\n${lines.map((line) => `  ${line}\n`).join('')}`
}

export function knownHostsText(hostKeys: readonly Pick<HostKey, 'type' | 'blob'>[]): string {
  return hostKeys.map(({ type, blob }) => `${ALIAS} ${type} ${blob.toString('base64')}\n`).join('')
}

/** For the shell that runs a ProxyCommand, whichever it is; ssh takes "%" for itself. */
function word(text: string): string {
  const escaped = text.replaceAll('%', '%%')
  return /^[\w@+:,./%-]+$/.test(escaped) ? escaped : `'${escaped.replaceAll("'", "'\\''")}'`
}

/** A file's name as ssh_config has it. */
function quoted(path: string): string {
  return `"${path.replaceAll('%', '%%')}"`
}
