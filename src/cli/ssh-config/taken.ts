/**
 * Finds hosts that the user knows already. Our entries come first in ssh_config, and whoever makes a container chooses
 * its name: "github.com" must lead where it led before. So a name with a dot is served only with our suffix, and so is
 * one that ssh, known_hosts or /etc/hosts know.
 */
import { readFile } from 'node:fs/promises'
import { hostname } from 'node:os'
import { execa } from 'execa'
import type { Taken } from './hosts.ts'

const ANSWER_MS = 5_000

/** As long as a name that somebody has: another gateway's pattern takes them all. */
const UNHEARD_OF = 'hatchway-unheard-of'

/** `config`: the user's ssh_config without our line. */
export async function createTaken(config: string, knownHosts: string): Promise<Taken> {
  const ours = ['localhost', hostname().toLowerCase(), ...(await namesOfHostsFile())]
  const unheardOf = `hatchway-${process.pid}-unheard-of`
  const plain = await settingsOf(unheardOf, config)

  const host = async (name: string) => {
    if (ours.includes(name.toLowerCase())) return true
    // ssh itself is asked, as it follows Include, Match and patterns: a known name has settings of its own.
    const settings = await settingsOf(name, config)
    if (settings !== undefined && plain !== undefined && settings !== plain) return true
    const asked = await execa('ssh-keygen', ['-F', name, '-f', knownHosts], { reject: false, timeout: ANSWER_MS })
    return asked.exitCode === 0
  }
  const written = [
    ...ours,
    ...namesOfConfig(await readFile(config, 'utf8').catch(() => '')),
    ...namesOfKnownHosts(await readFile(knownHosts, 'utf8').catch(() => '')),
  ]
  return {
    host,
    // Of all names that end so only those that stand in a file can be told: no hashed ones, none of an included file.
    async suffix(suffix) {
      const end = suffix.toLowerCase()
      return written.some((name) => name.endsWith(end)) || (await host(`${UNHEARD_OF}${suffix}`))
    },
  }
}

/** Names and patterns of hosts, and what they lead to and through. */
export function namesOfConfig(text: string): string[] {
  const values = [...text.matchAll(/^[ \t]*(?:host|hostname|proxyjump)(?:[ \t]*=[ \t]*|[ \t]+)(.*)$/gim)]
  return values
    .flatMap(([, value = '']) => value.split(/[\s,"]+/))
    .map((word) =>
      word
        .replace(/^.*@|^!/, '')
        .replace(/:\d+$/, '')
        .toLowerCase(),
    )
}

export function namesOfKnownHosts(text: string): string[] {
  const lines = text.split('\n').map((line) => line.trim().replace(/^@\S+\s+/, ''))
  return lines
    .filter((line) => !line.startsWith('#') && !line.startsWith('|'))
    .flatMap((line) => (line.split(/\s/)[0] ?? '').split(','))
    .map((name) => name.replace(/^!?\[(.*)\](?::\d+)?$/, '$1').toLowerCase())
}

/** Returns all settings but the name itself; undefined if there is no ssh. */
async function settingsOf(name: string, config: string): Promise<string | undefined> {
  const { exitCode, stdout } = await execa('ssh', ['-G', '-F', config, '--', name], {
    reject: false,
    timeout: ANSWER_MS,
  })
  if (exitCode !== 0) return undefined
  return stdout
    .split('\n')
    .filter((line) => line !== `host ${name}` && line !== `hostname ${name.toLowerCase()}`)
    .join('\n')
}

async function namesOfHostsFile(): Promise<string[]> {
  const text = await readFile('/etc/hosts', 'utf8').catch(() => '')
  return text
    .split('\n')
    .flatMap((line) => line.replace(/#.*/, '').trim().split(/\s+/).slice(1))
    .map((name) => name.toLowerCase())
}
