/**
 * What is made once for a run and copied by each file: host keys and the clients' keys. An RSA key is half a second of CPU,
 * and a whole run asks for two hundred.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { loadHostKeys } from '../../src/auth/hostkeys.ts'
import { writeClientKeys } from '../support/client-keys.ts'

/** As many as one file holds at once: its own and a stranger's. More are made when they are asked for. */
const CLIENT_KEY_SETS = 3

const VARIABLE = 'HATCHWAY_TEST_SHARED'

/** A directory with the three host keys; undefined where no run has made any. */
export function sharedHostKeys(): string | undefined {
  const shared = process.env[VARIABLE]
  return shared && join(shared, 'host')
}

/** A directory as writeClientKeys() fills it; undefined from some index on. */
export function sharedClientKeys(index: number): string | undefined {
  const shared = process.env[VARIABLE]
  return shared && index < CLIENT_KEY_SETS ? join(shared, `client-${index}`) : undefined
}

export default async function makeShared(): Promise<() => Promise<void>> {
  const shared = await mkdtemp(join(tmpdir(), 'hw-test-shared-'))
  const clients = Array.from({ length: CLIENT_KEY_SETS }, (_, index) => join(shared, `client-${index}`))
  const hostKeys = { hostKeys: [], keysDirectory: join(shared, 'host') }
  await Promise.all([loadHostKeys(hostKeys, () => {}), ...clients.map(writeClientKeys)])
  // The workers are started afterwards, with these variables.
  process.env[VARIABLE] = shared
  return () => rm(shared, { recursive: true, force: true })
}
