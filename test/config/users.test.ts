import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openUsers } from '../../src/auth/users.ts'
import { ConfigError, loadConfig } from '../../src/config/load.ts'
import { parseMethods } from '../../src/config/users.ts'

const SECRET = 'JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP'

let directory: string
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'hw-test-users-'))
})
afterAll(() => rmSync(directory, { recursive: true }))

function load(yaml: string, env: NodeJS.ProcessEnv = {}) {
  const file = join(directory, 'hatchway.yaml')
  writeFileSync(file, yaml)
  return loadConfig({ file, env: { HOME: '/home/dev', ...env } }).config
}

function problems(yaml: string): string {
  try {
    load(yaml)
  } catch (error) {
    if (error instanceof ConfigError) return error.message.replaceAll(`${directory}/`, '')
    throw error
  }
  return 'none'
}

describe('users', () => {
  it('have file names relative to the file they stand in', () => {
    const { users } = load('users: { alice: { authorizedKeys: [a.keys, ~/b.keys], totpSecretFile: a.totp } }')
    expect(users.alice).toMatchObject({
      authorizedKeys: [join(directory, 'a.keys'), '/home/dev/b.keys'],
      totpSecretFile: join(directory, 'a.totp'),
    })
  })

  it.each([
    ['users: { a=b: {} }', /1: users\.a\.\.\.: expected a name of letters/],
    ['users: { alice: { password: hunter2 } }', /users\.alice\.password: there is no such key/],
    ['users: { alice: { passwordHash: hunter2 } }', /users\.alice\.passwordHash: expected \$scrypt\$ln=/],
    ['users: { alice: { passwordHash: 31337 } }', /users\.alice\.passwordHash: expected a text/],
    ['users: { alice: { totpSecret: "hunter2!" } }', /users\.alice\.totpSecret: expected a secret in base32/],
    ['users: { alice: { totpSecret: 31337 } }', /users\.alice\.totpSecret: expected a text/],
    [`users: { alice: { totpSecret: ${SECRET}, totpSecretFile: x } }`, /users\.alice: .*only one of them/],
    [
      'users: { alice: { authenticationMethods: [hostbased] } }',
      /alice\.authenticationMethods: expected lists such as/,
    ],
  ])('%j is refused, and no secret is repeated', (yaml, sentence) => {
    expect(problems(yaml)).toMatch(sentence)
    expect(problems(yaml)).not.toMatch(/hunter2|31337|JBSWY/)
  })

  it('have secrets in files that nobody else can read', async () => {
    const file = join(directory, 'secret')
    const config = () => load(`users: { alice: { totpSecretFile: secret } }`)
    writeFileSync(file, `${SECRET}\n`, { mode: 0o600 })
    expect((await openUsers(config().users)).find('alice')?.totp).toMatchObject({ digits: 6 })
    chmodSync(file, 0o640)
    await expect(openUsers(config().users)).rejects.toThrow('can be read by others')
    chmodSync(file, 0o600)
    writeFileSync(file, 'nonsense!')
    await expect(openUsers(config().users)).rejects.toThrow('holds no TOTP secret')
    rmSync(file)
    await expect(openUsers(config().users)).rejects.toThrow('cannot read')
  })
})

describe('authenticationMethods', () => {
  it('are one list of the key by default, and a line of sshd_config in the environment', () => {
    expect(load('').authenticationMethods).toEqual(['publickey'])
    const line = 'publickey,keyboard-interactive:totp password'
    const { authenticationMethods } = load('', { HATCHWAY_AUTHENTICATION_METHODS: line })
    // The comma must not divide there: two lists would each be enough.
    expect(parseMethods(authenticationMethods)).toEqual([['publickey', 'keyboard-interactive:totp'], ['password']])
  })

  it.each([
    '[]',
    '""',
    '[none]',
    '[any]',
    '[publickey, "password,none"]',
    '["publickey,"]',
    '["publickey:x"]',
    '["keyboard-interactive:pam"]',
    '["publickey password"]',
    // A code alone can be tried out.
    '["keyboard-interactive:totp"]',
    '["keyboard-interactive:totp,publickey"]',
  ])('%s is refused', (value) => {
    expect(problems(`authenticationMethods: ${value}`)).toMatch(/1: authenticationMethods: expected lists such as/)
  })
})
