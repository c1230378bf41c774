/** Whatever is wrong with a configuration, and wherever it stands: what is said of it repeats no secret. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { configFrom } from '../../src/cli/flags.ts'
import { ConfigError, loadConfig } from '../../src/config/load.ts'
import { MAIN } from '../support/gateway.ts'
import { run } from '../support/run.ts'

/** In every case one of these is the secret. */
const SECRETS = /hunter2|hunter%32|31337|JBSWY/i

let directory: string
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'hw-test-secrets-'))
})
afterAll(() => rmSync(directory, { recursive: true }))

function problems(yaml: string, env: NodeJS.ProcessEnv = {}): string {
  const file = join(directory, 'hatchway.yaml')
  writeFileSync(file, yaml)
  try {
    loadConfig({ file, env: { HOME: '/home/dev', ...env } })
  } catch (error) {
    if (error instanceof ConfigError) return error.message.replaceAll(`${directory}/`, '')
    throw error
  }
  return 'none'
}

const JSON_HASH = '$scrypt$ln=15,r=8,p=3$hunter2hunter2$hunter2'
const CASES: readonly (readonly [yaml: string, said: string])[] = [
  // Wrong type, of the value, of what it is in, and of what that is in.
  ['users: { a: { passwordHash: 31337 } }', 'users.a.passwordHash'],
  ['users: { a: { passwordHash: [hunter2] } }', 'users.a.passwordHash'],
  ['users: { a: { passwordHash: { hunter2: 1 } } }', 'users.a.passwordHash'],
  ['users: { a: { totpSecret: 31337 } }', 'users.a.totpSecret'],
  ['users: { a: { totpSecretFile: 31337 } }', 'users.a.totpSecretFile'],
  ['users: { a: hunter2 }', 'users.a'],
  ['users: { a: [hunter2] }', 'users.a'],
  ['users: hunter2', 'users'],
  ['users: [{ name: a, totpSecret: JBSWY }]', 'users'],
  ['users:\n  a:\n    totpSecret:JBSWY', 'users.a'],
  ['users: { a: { keys: \'environment="T=hunter2" ssh-ed25519 AAAA\' } }', 'users.a.keys'],
  ['users: { a: { keys: [31337] } }', 'users.a.keys.0'],
  ['authorization: https://u:hunter2@h/', 'authorization'],
  ['authorization: [hunter2]', 'authorization'],
  ['authorization: { webhook: 31337 }', 'authorization.webhook'],
  ['authorization: { webhook: [hunter2] }', 'authorization.webhook'],
  ['authorization: { headers: "Authorization: Bearer hunter2" }', 'authorization.headers'],
  ['authorization: { headers: ["Authorization: Bearer hunter2"] }', 'authorization.headers'],
  ['authorization: { headers: { X: 31337 } }', 'authorization.headers.X'],
  ['authorization: { headers: { X: [hunter2] } }', 'authorization.headers.X'],
  ['authorization: { command: /bin/may --token hunter2 }', 'authorization.command'],
  ['authorization: { command: [/bin/may, 31337] }', 'authorization.command.1'],
  ['authorizedKeysCommand: { hunter2: x }', 'authorizedKeysCommand'],
  ['authorizedKeysCommand: [/bin/k, 31337]', 'authorizedKeysCommand'],
  ['authorizedPrincipalsCommand: 31337', 'authorizedPrincipalsCommand'],
  ['environment: T=hunter2', 'environment'],
  ['environment: { set: T=hunter2 }', 'environment.set'],
  ['environment: { set: [T=hunter2] }', 'environment.set'],
  ['environment: { set: { T: 31337 } }', 'environment.set.T'],
  ['templates: hunter2', 'templates'],
  ['templates: { n: hunter2 }', 'templates.n'],
  ['templates: { n: { image: a, env: T=hunter2 } }', 'templates.n.env'],
  ['templates: { n: { image: a, env: { T: 31337 } } }', 'templates.n.env.T'],
  ['templates: { n: { image: a, env: [T=hunter2] } }', 'templates.n.env'],
  ['templates: { n: { image: a, labels: { t: 31337 } } }', 'templates.n.labels.t'],
  ['templates: { n: { image: a, command: run hunter2 } }', 'templates.n.command'],
  ['engine: tcp://u:hunter2@h', 'engine'],
  ['engine: { endpoint: 31337 }', 'engine.endpoint'],
  // In the wrong place.
  ['listen: { users: { a: { totpSecret: JBSWY } } }', 'listen'],
  ['limits: [{ passwordHash: hunter2 }]', 'limits'],
  ['guest: { headers: { Authorization: hunter2 } }', 'guest'],
  ['rules: { headers: { Authorization: hunter2 } }', 'rules'],
  ['shutdownGrace: { headers: hunter2 }', 'shutdownGrace'],
  // Unknown keys, with the secret as value, and run together with the key.
  ['users: { a: { password: hunter2 } }', 'users.a.password: there is no such key'],
  ['users: { a: { passwordHsah: hunter2 } }', 'is passwordHash meant?'],
  ['users: { a: { totpSecret JBSWY } }', 'users.a.totpSecret...: there is no such key'],
  ['users: { a: { "totpSecret=JBSWY": x } }', 'users.a.totpSecret...'],
  ['authorization: { header: hunter2 }', 'is headers meant?'],
  ['authorization: { webhook https://u:hunter2@h }', 'authorization.webhook...'],
  [
    'authorization: { headers: { Authorization Bearer hunter2 } }',
    'authorization.headers.Authorization...: expected a header name',
  ],
  ['authorization: { headers: { "Authorization: Bearer hunter2": "" } }', 'authorization.headers.Authorization...'],
  ['environment: { set: { T=hunter2 } }', 'environment.set.T...: expected a variable name'],
  ['templates: { n: { image: a, env: { T=hunter2 } } }', 'templates.n.env.T...'],
  ['"webhook=hunter2": x', 'webhook...'],
  // Malformed, too long, bad characters.
  [`users: { a: { passwordHash: "${JSON_HASH}" } }`, 'users.a.passwordHash'],
  ['users: { a: { totpSecret: "hunter2!" } }', 'users.a.totpSecret'],
  ['users: { a: { totpSecret: "otpauth://hotp/a?secret=JBSWY3DPEHPK3PXP" } }', 'users.a.totpSecret'],
  ['users: { a: { totpSecret: JBSWY3DPEHPK3PXP, totpSecretFile: x } }', 'only one of them'],
  [`users: { a: { totpSecret: ${'JBSWY3DP'.repeat(40)} } }`, 'users.a.totpSecret'],
  ['authorization: { webhook: https://u:hunter2@h/ }', 'authorization.webhook: expected http://'],
  ['authorization: { webhook: https://u:hunter%32@h/ }', 'authorization.webhook: expected http://'],
  ['authorization: { webhook: "h?token=hunter2" }', 'authorization.webhook: expected http://'],
  ['authorization: { webhook: "ftp://h?token=hunter2" }', 'authorization.webhook: expected http://'],
  ['authorization: { headers: { X: "hunter2\\n" } }', 'authorization.headers.X: expected printable ASCII'],
  ['authorization: { headers: { X: hunter2é } }', 'authorization.headers.X: expected printable ASCII'],
  ['authorization: { command: ["", hunter2] }', 'authorization.command.0'],
  ['environment: { set: { T: "hunter2\\0" } }', 'environment.set.T'],
  ['templates: { n: { image: a, env: { T: "hunter2\\0" } } }', 'templates.n.env.T'],
  // Broken YAML: what begins with a sign of YAML's and wants quotes.
  ['users: { a: { totpSecret: *hunter2 } }', 'hatchway.yaml'],
  ['authorization: { headers: { X: !hunter2 a } }', 'hatchway.yaml:1'],
  ['authorization: { headers: { X: !<hunter2> a } }', 'hatchway.yaml:1'],
  ['authorization: { headers: { X: &a &hunter2 b } }', 'hatchway.yaml:1'],
  ['authorization: { headers: { X: &hunter2,x *hunter2 } }', 'hatchway.yaml'],
  ['authorization: { headers: { X: "\\hunter2" } }', 'hatchway.yaml:1'],
  ['authorization: { headers: { X: "\\xhunter2" } }', 'hatchway.yaml:1'],
  ['authorization:\n  headers:\n    X: "a" hunter2', 'hatchway.yaml:3'],
  ['authorization:\n  headers:\n    X: |hunter2\n      a', 'hatchway.yaml:3'],
  ['authorization:\n  headers:\n    X: @hunter2', 'hatchway.yaml:3'],
  ['authorization:\n  headers:\n    X: `hunter2', 'hatchway.yaml:3'],
  ['authorization:\n  headers:\n    X: "hunter2', 'hatchway.yaml'],
  ['authorization:\n  headers:\n    X: a: hunter2', 'hatchway.yaml:3'],
  ['authorization:\n  headers:\n    X:\n%hunter2 x\n', 'hatchway.yaml'],
  ['%hunter2 x\n---\na: 1', 'hatchway.yaml:1'],
  ['authorization:\n  headers:\n\tX: hunter2', 'hatchway.yaml'],
  ['authorization: { headers: { X: !!int hunter2 } }', 'hatchway.yaml'],
  ['authorization: { headers: !!set hunter2 }', 'hatchway.yaml'],
  ['hunter2', 'hatchway.yaml:1: expected keys with values'],
  ['- hunter2', 'hatchway.yaml:1: expected keys with values'],
]

it.each(CASES)('%j is refused without it', (yaml, said) => {
  expect(problems(yaml)).toContain(said)
  expect(problems(yaml)).not.toMatch(SECRETS)
})

it.each([
  ['HATCHWAY_AUTHORIZATION_WEBHOOK', 'https://u:hunter2@h/'],
  ['HATCHWAY_AUTHORIZATION_HEADERS', '[Authorization, Bearer hunter2]'],
  ['HATCHWAY_AUTHORIZATION_HEADERS', '{ X: 31337 }'],
  ['HATCHWAY_AUTHORIZATION_HEADERS', '{ X hunter2'],
  ['HATCHWAY_AUTHORIZATION_COMMAND', ',hunter2'],
  ['HATCHWAY_USERS', 'hunter2'],
  ['HATCHWAY_USERS', '{ a: { passwordHash: hunter2 } }'],
  ['HATCHWAY_USERS', '[hunter2]'],
  ['HATCHWAY_ENVIRONMENT_SET', 'T=hunter2'],
  ['HATCHWAY_ENVIRONMENT_SET', '{ T=hunter2 }'],
  ['HATCHWAY_TEMPLATES', '{ n: { image: a, env: { T: 31337 } } }'],
])('%s=%s is refused without it', (name, value) => {
  const said = problems('', { [name]: value })
  expect(said).toContain(`${name}: `)
  expect(said).not.toMatch(SECRETS)
})

it('a name of the environment that is none is said without its value', () => {
  const warnings = loadConfig({ file: '/dev/null', env: { HATCHWAY_AUTHORIZATION_TOKEN: 'hunter2' } }).warnings
  expect(warnings.join()).toContain('HATCHWAY_AUTHORIZATION_TOKEN')
  expect(warnings.join()).not.toMatch(SECRETS)
})

it('what is no secret is repeated: it helps', () => {
  expect(problems('listen: [nowhere]\nauthorization: { timeout: soon }\nengine: { kind: podman }')).toMatch(
    /got "nowhere".*got "podman".*got "soon"|got "nowhere".*got "soon".*got "podman"/,
  )
  expect(() => configFrom({ config: '/dev/null', guest: 'maybe' })).toThrow(
    '--guest: guest: expected one of auto, off, require, got "maybe"',
  )
})

it.each([[['config', 'check']], [['policy', 'check']], [['serve']]])('hatchway %j says it so, too', async (command) => {
  const file = join(directory, 'check.yaml')
  writeFileSync(file, 'authorization: { webhook: https://u:hunter2@h/ }\nusers: { a: { totpSecret: *hunter2 } }')
  for (const env of [{}, { HATCHWAY_AUTHORIZATION_HEADERS: 'X hunter2' }]) {
    const { code, stdout, stderr } = await run(process.execPath, [MAIN, ...command, '--config', file], { env })
    expect(code).toBe(2)
    expect(`${stdout}${stderr}`).toMatch(/check\.yaml/)
    expect(`${stdout}${stderr}`).not.toMatch(SECRETS)
  }
})
