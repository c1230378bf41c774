import { execFileSync } from 'node:child_process'
import { chmodSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadHostKeys } from '../../src/auth/hostkeys.ts'

let directory: string
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'hw-test-host-'))
})
afterAll(() => rmSync(directory, { recursive: true }))

describe('host keys', () => {
  it('are made at first start, 0600 in a 0700 directory, and kept at the second', async () => {
    const keysDirectory = join(directory, 'made')
    const first = await loadHostKeys({ keysDirectory, hostKeys: [] })
    expect(first.map((key) => key.type)).toEqual(['ssh-ed25519', 'ecdsa-sha2-nistp256', 'ssh-rsa'])
    expect(statSync(keysDirectory).mode & 0o777).toBe(0o700)
    expect(first.map((key) => statSync(key.file).mode & 0o777)).toEqual([0o600, 0o600, 0o600])
    for (const key of first) {
      expect(execFileSync('ssh-keygen', ['-l', '-f', key.file], { encoding: 'utf8' })).toContain(key.fingerprint)
    }
    expect(await loadHostKeys({ keysDirectory, hostKeys: [] })).toEqual(first)
  })

  it('are the same for two gateways that start at once, and no half-made file stays', async () => {
    const keysDirectory = join(directory, 'race')
    const [one, two] = await Promise.all([
      loadHostKeys({ keysDirectory, hostKeys: [] }),
      loadHostKeys({ keysDirectory, hostKeys: [] }),
    ])
    expect(one?.map((key) => key.fingerprint)).toEqual(two?.map((key) => key.fingerprint))
    expect(readdirSync(keysDirectory).filter((name) => name.endsWith('.new'))).toEqual([])
  })

  it.skipIf(process.getuid === undefined)('are refused when others can read them', async () => {
    const keysDirectory = join(directory, 'open')
    const [key] = await loadHostKeys({ keysDirectory, hostKeys: [] })
    chmodSync(key!.file, 0o644)
    await expect(loadHostKeys({ keysDirectory, hostKeys: [] })).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: `host key ${key!.file} can be read by others; it must not (chmod 600 ${key!.file})`,
    })
  })

  it('are refused by name when they are missing or no keys', async () => {
    const file = join(directory, 'garbage')
    writeFileSync(file, 'garbage', { mode: 0o600 })
    await expect(loadHostKeys({ keysDirectory: directory, hostKeys: [file] })).rejects.toThrow(file)
    await expect(loadHostKeys({ keysDirectory: directory, hostKeys: ['/nonexistent'] })).rejects.toThrow('/nonexistent')
  })
})
