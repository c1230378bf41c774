/**
 * sshd in a container is the reference for what the gateway does. Its answers change only with the tests, the images and the
 * suite, so it is asked again when one of those changed since a run that passed, or when HATCHWAY_REFERENCE=1 says so
 * (./hatchway test --all).
 */
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'

const top = join(import.meta.dirname, '../..')
const DECIDE = [
  'test/e2e',
  'test/parity',
  'test/ssh',
  'test/support',
  'test/run',
  'scripts/images',
  'scripts/common.sh',
  'scripts/images.sh',
  'scripts/parity.sh',
]

/** Whether the reference is due. What chooses roads by hand (HATCHWAY_E2E_ROADS, HATCHWAY_PARITY) is asked first. */
export function referenceIsDue(): boolean {
  return process.env.HATCHWAY_REFERENCE === '1' || !existsSync(referenceStamp())
}

/** The reference has passed as it was when `stamp` was made: what was edited meanwhile has another stamp. */
export function rememberReference(stamp: string): void {
  mkdirSync(cache(), { recursive: true })
  writeFileSync(stamp, '')
}

/** A file that is there when the reference has passed with the tests, images and suite of now. */
export function referenceStamp(): string {
  const hash = createHash('sha256')
  for (const path of DECIDE) {
    for (const file of files(join(top, path)))
      hash
        .update(`${file.slice(top.length)}\0`)
        .update(readFileSync(file))
        .update('\0')
  }
  return join(cache(), `sshd-reference-${hash.digest('hex').slice(0, 16)}`)
}

function files(path: string): string[] {
  if (!statSync(path).isDirectory()) return [path]
  return readdirSync(path, { recursive: true, encoding: 'utf8' })
    .map((name) => join(path, name))
    .filter((file) => statSync(file).isFile())
    .sort()
}

/** As cache_dir in scripts/common.sh. */
function cache(): string {
  if (process.env.HATCHWAY_CACHE) return process.env.HATCHWAY_CACHE
  if (process.getuid?.() === 0) return '/var/cache/hatchway'
  return join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'hatchway')
}
