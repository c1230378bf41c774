/** The host keys that `hatchway config-ssh` has written for ssh, in a known_hosts file. */
import { readFile } from 'node:fs/promises'

/** Returns whether ssh knows one of these keys ("ssh-ed25519 AAAA..."). A file that is missing has none. */
export async function readPinned(knownHosts: string): Promise<(hostKeys: readonly string[]) => boolean> {
  const text = await readFile(knownHosts, 'utf8').catch(() => '')
  return (hostKeys) => hostKeys.some((key) => text.includes(` ${key}\n`))
}
