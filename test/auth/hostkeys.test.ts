import { execFileSync } from 'node:child_process'
import { chmodSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { loadHostKeys } from '../../src/auth/hostkeys.ts'
import { parseHostKeys as serverKeys } from '../../src/ssh/hostkeys.ts'

let directory: string
const noWarning = (sentence: string) => expect.unreachable(sentence)
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'hw-test-host-'))
})
afterAll(() => rmSync(directory, { recursive: true }))

describe('host keys', () => {
  it('are made at first start, 0600 in a 0700 directory, and kept at the second', async () => {
    const keysDirectory = join(directory, 'made')
    const first = await loadHostKeys({ keysDirectory, hostKeys: [] }, noWarning)
    expect(first.map((key) => key.type)).toEqual(['ssh-ed25519', 'ecdsa-sha2-nistp256', 'ssh-rsa'])
    expect(statSync(keysDirectory).mode & 0o777).toBe(0o700)
    expect(first.map((key) => statSync(key.file).mode & 0o777)).toEqual([0o600, 0o600, 0o600])
    for (const key of first) {
      expect(execFileSync('ssh-keygen', ['-l', '-f', key.file], { encoding: 'utf8' })).toContain(key.fingerprint)
    }
    expect(await loadHostKeys({ keysDirectory, hostKeys: [] }, noWarning)).toEqual(first)
  })

  it('are the same for two gateways that start at once, and no half-made file stays', async () => {
    const keysDirectory = join(directory, 'race')
    const [one, two] = await Promise.all([
      loadHostKeys({ keysDirectory, hostKeys: [] }, noWarning),
      loadHostKeys({ keysDirectory, hostKeys: [] }, noWarning),
    ])
    expect(one?.map((key) => key.fingerprint)).toEqual(two?.map((key) => key.fingerprint))
    expect(readdirSync(keysDirectory).filter((name) => name.includes('.hatchway-'))).toEqual([])
  })

  it.skipIf(process.getuid === undefined)('are refused when others can read them', async () => {
    const keysDirectory = join(directory, 'open')
    const [key] = await loadHostKeys({ keysDirectory, hostKeys: [] }, noWarning)
    chmodSync(key!.file, 0o644)
    await expect(loadHostKeys({ keysDirectory, hostKeys: [] }, noWarning)).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: `host key ${key!.file} can be read by others; it must not (chmod 600 ${key!.file})`,
    })
  })

  it('are refused by name when they are missing or no keys', async () => {
    const file = join(directory, 'garbage')
    writeFileSync(file, 'garbage', { mode: 0o600 })
    await expect(loadHostKeys({ keysDirectory: directory, hostKeys: [file] }, noWarning)).rejects.toThrow(file)
    await expect(loadHostKeys({ keysDirectory: directory, hostKeys: ['/nonexistent'] }, noWarning)).rejects.toThrow(
      '/nonexistent',
    )
  })

  it.each([
    ['PKCS#8 RSA', 'ssh-rsa', ['genpkey', '-algorithm', 'RSA', '-pkeyopt', 'rsa_keygen_bits:2048']],
    ['PKCS#8 P-384', 'ecdsa-sha2-nistp384', ['genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-384']],
    ['PKCS#8 Ed25519', 'ssh-ed25519', ['genpkey', '-algorithm', 'ED25519']],
    ['PKCS#1 RSA', 'ssh-rsa', ['genrsa', '-traditional']],
    ['SEC 1 P-256', 'ecdsa-sha2-nistp256', ['ecparam', '-name', 'prime256v1', '-genkey', '-noout']],
  ])('%s is read, and serves the key exchange', async (name, type, command) => {
    const file = join(directory, `pem ${name.replaceAll(/[^A-Za-z0-9]/g, '')}`)
    execFileSync('openssl', [...command, '-out', file], { stdio: 'ignore' })
    chmodSync(file, 0o600)
    const [key] = await loadHostKeys({ keysDirectory: directory, hostKeys: [file] }, noWarning)
    expect(key).toMatchObject({ file, type })
    const { keys } = serverKeys([{ file, bytes: key!.privateKey }])
    expect(keys.map((parsed) => parsed.getPublicSSH().equals(key!.blob))).toEqual([true])
  })

  it('skips a DSA key with a line that names it, and does not start where there is no other', async () => {
    const dsa = join(directory, 'dsa')
    execFileSync('openssl', ['dsaparam', '-genkey', '-noout', '-out', dsa, '1024'], { stdio: 'ignore' })
    chmodSync(dsa, 0o600)
    const good = join(directory, 'made', 'ssh_host_ed25519_key')
    const warnings: string[] = []
    const load = (hostKeys: string[]) =>
      loadHostKeys({ keysDirectory: directory, hostKeys }, (sentence) => warnings.push(sentence))
    expect((await load([dsa, good])).map((key) => key.file)).toEqual([good])
    expect(warnings).toEqual([`host key ${dsa} is skipped: it is a DSA key, which no client accepts any more`])
    await expect(load([dsa])).rejects.toMatchObject({ code: 'CONFIG_INVALID', message: expect.stringContaining(dsa) })
  })
})
