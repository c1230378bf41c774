/** `hatchway config check`: what `serve` would refuse, and what would keep everybody out. No engine is needed. */
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { checkStart } from '../../src/cli/check-start.ts'
import { loadConfig } from '../../src/config/load.ts'
import { hatchway } from '../support/program.ts'
import { run } from '../support/run.ts'

vi.setConfig({ testTimeout: 120_000, hookTimeout: 60_000 })

const HASH = '$scrypt$ln=15,r=8,p=3$bm90LWEtcmVhbC1zYWx0$z6Vy1sGzV0uY0p1lXo2lZq3WQn0pHcJr8gk4F2d5Yw8'

let made: string
let line: string
beforeAll(async () => {
  made = mkdtempSync(join(tmpdir(), 'hw-test-made-'))
  const key = await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', 'alice', '-f', join(made, 'key')])
  expect(key.code).toBe(0)
  line = readFileSync(join(made, 'key.pub'), 'utf8')
  return () => rmSync(made, { recursive: true })
})

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'hw-test-check-'))
  writeFileSync(join(folder, 'keys'), line, { mode: 0o600 })
})
afterEach(() => rmSync(folder, { recursive: true }))

function load(text: string) {
  const file = join(folder, 'hatchway.yaml')
  writeFileSync(file, `keysDirectory: state\n${text}`)
  return loadConfig({ file, env: { HOME: folder } })
}

async function check(text: string) {
  const { problems, warnings } = await checkStart(load(text))
  const short = (all: readonly string[]) => all.map((one) => one.replaceAll(`${folder}/`, ''))
  return { problems: short(problems), warnings: short(warnings) }
}

it('says nothing of what is good, and makes nothing', async () => {
  expect(await check('authorizedKeys: [keys]\n')).toEqual({ problems: [], warnings: [] })
  expect(await check('')).toEqual({ problems: [], warnings: [] })
  expect(readdirSync(folder).sort()).toEqual(['hatchway.yaml', 'keys'])
})

describe('what serve would refuse', () => {
  it.each([
    ['hostKeys: [nothing]', /^hatchway.yaml:2: hostKeys: .*nothing/],
    ['hostKeys: [MADE]\nhostCertificates: [nothing]', /^hatchway.yaml:3: hostCertificates: .*nothing/],
    ['hostKeys: [MADE]\nhostCertificates: [keys]', /^hatchway.yaml:2: hostKeys: .*keys/],
    ['controlSocket: nowhere/control.sock', /^hatchway.yaml:2: controlSocket: nowhere cannot be written to \(ENOENT\)/],
    ['authorization: { webhook: "https://a.example/", ca: nothing }', /^hatchway.yaml:2: authorization: .*nothing/],
    ['audit: { file: nowhere/audit.jsonl }', /^hatchway.yaml:2: audit.file: .*nowhere cannot be written to \(ENOENT\)/],
    ['recording: { directory: keys/records }', /^hatchway.yaml:2: recording.directory: .*keys is no directory$/],
    ['audit: { anchorCommand: [keep] }', /audit.anchorCommand: its program must be an absolute path/],
    ['authorizedKeysCommand: [keys-of]', /authorizedKeysCommand: its program must be an absolute path/],
    ['users: { bob: { authorizedKeys: [keys], totpSecretFile: nothing } }', /nothing/],
    ['engine: { endpoint: "ssh://host/a b" }', /engine: .*has no API/],
    [
      'engines: { one: { endpoint: "tcp://h:1", tls: { ca: /no/such } } }',
      /^hatchway.yaml:\d+: engines.one.tls: cannot read \/no\/such: ENOENT: no such file or directory$/,
    ],
  ])('%s', async (text, expected) => {
    const { problems } = await check(`${text.replace('MADE', join(made, 'key'))}\n`)
    expect(problems).toEqual([expect.stringMatching(expected)])
  })

  it('a directory for keys that cannot be made', async () => {
    const flags = [{ flag: '--keys', key: ['keysDirectory'], value: join(folder, 'keys/state') }]
    const { problems } = await checkStart(loadConfig({ file: '/dev/null', env: { HOME: folder }, flags }))
    expect(problems).toEqual([`--keys: keysDirectory: ${folder}/keys is no directory`])
  })
})

describe('what keeps everybody out', () => {
  it.each([
    ['authorizedKeys: [nothing]', /nobody could log in: publickey/],
    ['authorizedKeys: []', /nobody could log in: publickey/],
    ['authorizedKeys: [keys]\nrevokedKeys: [nothing]', /nothing: .*no key is accepted/],
    ['authorizedKeys: [keys]\nauthenticationMethods: [password]', /nobody could log in: password/],
    [
      'authorizedKeys: [keys]\nauthenticationMethods: ["publickey,keyboard-interactive"]\nusers: { bob: { authorizedKeys: [keys] } }',
      /nobody could log in: publickey,keyboard-interactive/,
    ],
    [
      'authorizedKeysCommand: [/nonexistent/keys-of]\nauthorizedKeysCommandUser: root',
      /it would not be run: .*nonexistent/,
    ],
    ['authorizedKeys: [keys]\nauthorization: { command: [/nonexistent/may-they] }', /everything would be refused/],
  ])('%s', async (text, expected) => {
    const { problems } = await check(`${text}\n`)
    expect(problems).toContainEqual(expect.stringMatching(expected))
  })

  it.each([
    [`authenticationMethods: [password]\nusers: { bob: { passwordHash: '${HASH}' } }`],
    ['authorizedKeys: []\nusers: { bob: { authorizedKeys: [keys] } }'],
    ['authorizedKeys: []\ntrustedUserCAKeys: [keys]'],
    [
      'authenticationMethods: [password]\nusers: { bob: { authorizedKeys: [keys], authenticationMethods: [publickey] } }',
    ],
  ])('but not %s', async (text) => expect((await check(`${text}\n`)).problems).toEqual([]))
})

describe('what it warns of', () => {
  it.each([
    ['authorizedKeys: [keys, nothing]', /^hatchway.yaml:2: authorizedKeys: nothing is not there/],
    ['banner: nothing', /^hatchway.yaml:2: banner: cannot be read, none is shown/],
    ['motd: nothing', /^hatchway.yaml:2: motd: cannot be read/],
    ['log: { file: nowhere/log }', /log.file: the gateway would run without a log/],
    ['audit: { file: trail, anchorFile: nowhere/heads }', /audit.anchorFile: heads would not be kept there/],
    ['audit: { file: trail, anchorCommand: [/nowhere/keep] }', /audit.anchorCommand: heads would not be kept there/],
    ['trustedUserCAKeys: [nothing]\nauthorizedKeys: [keys]', /nothing: trusted authorities ignored: it is not there/],
    ['users: { bob: {} }', /^hatchway.yaml:2: users.bob: bob cannot log in: that takes publickey, and there is no key/],
  ])('%s', async (text, expected) => {
    const { problems, warnings } = await check(`${text}\n`)
    expect(problems).toEqual([])
    expect(warnings).toContainEqual(expect.stringMatching(expected))
  })

  it('a line of authorized_keys that is ignored', async () => {
    writeFileSync(join(folder, 'keys'), `${line}frob ${line}`, { mode: 0o600 })
    expect((await check('authorizedKeys: [keys]\n')).warnings).toEqual([expect.stringContaining('keys:2')])
  })

  it('a file that others may write', async () => {
    chmodSync(join(folder, 'keys'), 0o666)
    const { problems, warnings } = await check('authorizedKeys: [keys]\n')
    expect(problems).toEqual([expect.stringContaining('nobody could log in')])
    expect(warnings).toEqual([expect.stringMatching(/^keys: /)])
  })
})

describe('the command', () => {
  it('prints warnings, those of the rules, too, then each problem, and exits 2; else it is good', async () => {
    const file = join(folder, 'hatchway.yaml')
    writeFileSync(file, 'authorizedKeys: [nothing]\nrules: [{ users: ["*"] }]\n')
    const env = { HOME: folder }
    const bad = await hatchway(['config', 'check', '--config', file, '--keys', join(folder, 'state')], env)
    expect(bad.code).toBe(2)
    expect(bad.out).toMatch(/^warning: .*nothing is not there\nwarning: .*:2: rules.0: "\*" is everybody but root/)
    expect(bad.err).toMatch(/^hatchway: .*nobody could log in.*\n$/)
    const good = await hatchway(['config', 'check', '--config', file, '--authorized-keys', join(folder, 'keys')], env)
    expect([good.code, good.err]).toEqual([0, ''])
    expect(good.out).toMatch(/: good\n$/)
    expect(existsSync(join(folder, 'state'))).toBe(false)
  })

  it('the unit asks it before it starts, with the options of serve', () => {
    const unit = readFileSync(resolve('packaging/hatchway.service'), 'utf8')
    const options = (of: string) => new RegExp(`^${of} hatchway (?:serve|config check) (.*)$`, 'm').exec(unit)?.[1]
    expect(options('ExecStartPre=/usr/bin/env')).toBe(options('ExecStart=/usr/bin/env'))
  })
})

it('the ready examples are good once their files are there', async () => {
  mkdirSync(join(folder, 'users'))
  for (const file of ['users/alice.keys', 'users/bob.keys', 'authorized_keys', 'ci-ca.pub'])
    writeFileSync(join(folder, file), line, { mode: 0o600 })
  writeFileSync(join(folder, 'users/alice.totp'), 'JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP', { mode: 0o600 })
  writeFileSync(join(folder, 'users/bob.keys'), line.replace('alice', 'bob'), { mode: 0o600 })
  expect((await run('ssh-keygen', ['-q', '-k', '-f', join(folder, 'revoked')])).code).toBe(0)
  for (const name of readdirSync(resolve('config/examples'))) {
    const text = readFileSync(resolve('config/examples', name), 'utf8')
    expect([name, await check(text)]).toEqual([name, { problems: [], warnings: [] }])
  }
})
