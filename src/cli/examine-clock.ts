/** `hatchway doctor`: the clock, on which certificates, expiry-time= and six-digit codes depend. */
import { statSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { execa } from 'execa'
import type { Finding } from './finding.ts'

const ANSWER_MS = 2_000
const check = 'clock'
const advice = 'run a time service (systemd-timesyncd, chrony): certificates and codes depend on it'

export async function examineClock(now = new Date()): Promise<Finding> {
  // A file of this program from the future: the clock is wrong.
  const written = statSync(fileURLToPath(import.meta.url)).mtime
  if (now < written) {
    return { check, state: 'fail', found: `${now.toISOString()}, before this program was installed`, advice }
  }
  const asked = await execa('timedatectl', ['show', '--property=NTPSynchronized', '--value'], {
    reject: false,
    timeout: ANSWER_MS,
  })
  // Without a systemd that answers, the clock cannot be checked further.
  if (asked.failed) return { check, state: 'ok', found: now.toISOString() }
  if (asked.stdout.trim() === 'yes') return { check, state: 'ok', found: `${now.toISOString()}, synchronised` }
  return { check, state: 'warn', found: `${now.toISOString()}, not synchronised`, advice }
}
