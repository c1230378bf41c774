/**
 * Host entries of ssh_config that lead to containers by a jump through a gateway: ssh needs no other program for it, on
 * any system. Pure; whoever calls has checked the names.
 */
import { isIPv6 } from 'node:net'

export interface Jump {
  /** The login at the gateway itself: "@", or "alice=@" where the gateway asks who one is. */
  readonly login: string
  readonly host: string
  readonly port: number
}

/** OpenSSH 7.7, as Windows 10 came with it, takes no line of 4096 bytes. */
const MAX_LINE_BYTES = 2000

/**
 * One block for all names, as long as a line may be. `ahead` are settings that win over the jump's: ssh takes the first
 * value that it finds.
 */
export function jumpBlocks(
  patterns: readonly string[],
  jump: Jump,
  ahead: readonly string[],
  behind: readonly string[],
): string {
  const lines = [...ahead, `ProxyJump ${jump.login}@${hostPort(jump)}`, 'Port 22', 'User @', ...behind]
  const settings = lines.map((line) => `  ${line}\n`).join('')
  return hostLines(patterns)
    .map((line) => `\nHost ${line}\n${settings}`)
    .join('')
}

/** As in ProxyJump. */
export function hostPort({ host, port }: Pick<Jump, 'host' | 'port'>): string {
  return `${isIPv6(host) ? `[${host}]` : host}:${port}`
}

/** As ssh itself names a host in known_hosts. */
export function knownHost({ host, port }: Pick<Jump, 'host' | 'port'>): string {
  return port === 22 ? host : `[${host}]:${port}`
}

function hostLines(patterns: readonly string[]): string[] {
  const lines: string[] = []
  for (const pattern of patterns) {
    const last = lines.at(-1)
    if (last !== undefined && last.length + pattern.length < MAX_LINE_BYTES)
      lines[lines.length - 1] = `${last} ${pattern}`
    else lines.push(pattern)
  }
  return lines
}
