/** `hatchway doctor`: the clock. Certificates, expiry-time= and codes of six digits are worth as much as it is right. */
import { statSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { execa } from 'execa'
import type { Finding } from './finding.ts'

const ANSWER_MS = 2_000
const check = 'clock'
const advice = 'run a time service (systemd-timesyncd, chrony): certificates and codes depend on it'

export async function examineClock(now = new Date()): Promise<Finding> {
  // Nothing here can have been written in the future.
  const written = statSync(fileURLToPath(import.meta.url)).mtime
  if (now < written) {
    return { check, state: 'fail', found: `${now.toISOString()}, before this program was installed`, advice }
  }
  const asked = await execa('timedatectl', ['show', '--property=NTPSynchronized', '--value'], {
    reject: false,
    timeout: ANSWER_MS,
  })
  // No systemd here, or none that answers: nobody to ask.
  if (asked.failed) return { check, state: 'ok', found: now.toISOString() }
  if (asked.stdout.trim() === 'yes') return { check, state: 'ok', found: `${now.toISOString()}, synchronised` }
  return { check, state: 'warn', found: `${now.toISOString()}, not synchronised`, advice }
}
