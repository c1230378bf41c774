/** `hatchway doctor`: the ssh client on this machine, and whether it knows the containers as hosts. */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { execa } from 'execa'
import { home } from '../auth/safe-file.ts'
import { messageOf } from '../base/errors.ts'
import { PROGRAM_NAME } from '../base/program-name.ts'
import type { Finding } from './finding.ts'
import { proxyFiles } from './ssh-config/entries.ts'
import { hasInclude, hasInline, isOurFile, partsOf } from './ssh-config/include.ts'

const ANSWER_MS = 5_000
const CONFIG_SSH = `${PROGRAM_NAME} config-ssh`

export async function examineSsh(sshFolder = join(home(), '.ssh')): Promise<Finding[]> {
  return [await client(), ...containersAsHosts(sshFolder)]
}

async function client(): Promise<Finding> {
  const check = 'ssh client'
  const { stderr, failed } = await execa('ssh', ['-V'], { reject: false, timeout: ANSWER_MS })
  const [, major, minor] = /^OpenSSH_(\d+)\.(\d+)/.exec(stderr) ?? []
  const found = stderr.split('\n')[0] ?? ''
  if (failed) {
    const advice = 'install openssh-client, or connect from a machine that has it'
    return { check, state: 'warn', found: 'no ssh command here', advice }
  }
  // 7.3 brought ProxyJump and Include.
  const old = major !== undefined && Number(major) * 100 + Number(minor) < 703
  if (old) return { check, state: 'warn', found, advice: `\`ssh -J\` and \`${CONFIG_SSH}\` need OpenSSH 7.3` }
  return { check, state: 'ok', found }
}

/** Of this machine, and of each gateway elsewhere. */
function containersAsHosts(folder: string): Finding[] {
  const check = 'ssh config'
  const own = join(folder, 'config')
  const ours = join(folder, 'hatchway')
  try {
    const text = existsSync(own) ? readFileSync(own, 'utf8') : ''
    const there = existsSync(ours) ? readdirSync(ours).filter(isOurFile) : []
    const parts = partsOf(['config', ...there].map((name) => join(ours, name)))
    const findings = [...parts].flatMap((entries) => hostsOf(text, own, entries))
    if (findings.length > 0) return findings
    return [{ check, state: 'ok', found: `\`${CONFIG_SSH}\` makes \`ssh dev@CONTAINER\` work; it has not been run` }]
  } catch (error) {
    return [{ check, state: 'warn', found: messageOf(error), advice: `see that ${own} can be read` }]
  }
}

/** None: that part is not in use. */
function hostsOf(text: string, own: string, entries: string): Finding[] {
  const check = 'ssh config'
  // "gateway-2222.config"
  const gateway = /^(.+)-\d+\.config$/.exec(basename(entries))?.[1]
  const again = `\`${CONFIG_SSH}${gateway === undefined ? '' : ` --gateway ${gateway}`}\``
  const isHere = gateway === undefined && { hasHosts: true as const }
  if (hasInline(text, entries)) {
    const whose = gateway === undefined ? 'the containers' : `the containers of ${gateway}`
    return [{ check, state: 'ok', found: `${own} has ${whose} as hosts`, ...isHere }]
  }
  if (!hasInclude(text, entries)) return []
  if (!existsSync(entries)) {
    const found = `${own} includes ${entries}, which is not there`
    return [{ check, state: 'warn', found, advice: `${again} writes it, --uninstall takes the line out` }]
  }
  const missing = proxyFiles(readFileSync(entries, 'utf8')).find((file) => !existsSync(file))
  if (missing === undefined) return [{ check, state: 'ok', found: `${own} includes ${entries}`, ...isHere }]
  const found = `${entries} has a ProxyCommand of ${missing}, which is not there any more`
  return [{ check, state: 'fail', found, advice: `run ${again} again: hatchway or node has moved` }]
}
