/** Each key of the configuration is changed, and read again: it is in force, or it is said to need a restart. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pino from 'pino'
import { afterAll, describe, expect, test } from 'vitest'
import { createLockout } from '../../src/auth/lockout.ts'
import { createUsedSteps } from '../../src/auth/used-steps.ts'
import { PACKAGE_ROOT } from '../../src/base/package-root.ts'
import { loadConfig } from '../../src/config/load.ts'
import { PEOPLE_KEYS } from '../../src/config/reload.ts'
import { type Config, configSchema, type FixedConfig, type LiveConfig } from '../../src/config/schema.ts'
import { createInForce } from '../../src/session/in-force.ts'
import { openPeople } from '../../src/session/people.ts'

const folder = mkdtempSync(join(tmpdir(), 'hw-test-in-force-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const file = (name: string, text = '') => {
  writeFileSync(join(folder, name), text, { mode: 0o600 })
  return join(folder, name)
}
const log = pino({ level: 'silent' })
const program = ['/bin/true']
/** Who runs the programs: to be said by root, and by nobody else. */
const runner =
  process.getuid?.() === 0 ? { authorizedKeysCommandUser: 'root', authorizedPrincipalsCommandUser: 'root' } : {}

/** Another value than the default. The compiler wants every key here, and each in its table. */
const LIVE: Record<keyof LiveConfig, unknown> = {
  authorizedKeys: [file('other_keys')],
  authorizedKeysCommand: program,
  authorizedKeysCommandUser: 'nobody',
  trustedUserCAKeys: [file('ca.pub')],
  caSignatureAlgorithms: ['ssh-ed25519'],
  authorizedPrincipals: ['hatchway'],
  authorizedPrincipalsFile: file('principals'),
  authorizedPrincipalsCommand: program,
  authorizedPrincipalsCommandUser: 'nobody',
  revokedKeys: [file('revoked')],
  pubkeyAuthOptions: ['touch-required'],
  authenticationMethods: ['publickey,keyboard-interactive'],
  users: { alice: { groups: ['dev'] } },
  rules: [{}],
  endWithdrawn: true,
  authorization: { webhook: 'http://127.0.0.1:9' },
  onDisconnect: 'killTree',
  unrestrictedShells: ['bash'],
  environment: { set: { EDITOR: 'vi' } },
  limits: { maxSessions: 3 },
  proxyProtocol: { from: ['10.0.0.1'] },
  motd: '/etc/motd',
}
const FIXED: Record<keyof FixedConfig, unknown> = {
  recording: { directory: '/var/lib/recordings' },
  listen: ['127.0.0.1:1'],
  keysDirectory: folder,
  aliases: { web: 'compose:web.shop' },
  hostSuffixes: ['.other'],
  hostKeys: ['/etc/hostkey'],
  hostCertificates: ['/etc/hostkey-cert.pub'],
  engine: { kind: 'cli' },
  engines: { build1: { kind: 'docker' } },
  guest: 'off',
  guestMount: '/opt/hatchway-guest',
  startOnConnect: true,
  stopAfter: '5m',
  picker: 'lines',
  templates: { node: { image: 'node' } },
  gatewayPorts: 'yes',
  streamLocalBindUnlink: true,
  streamLocalBindMask: '0111',
  ciphers: ['aes128-ctr'],
  banner: '/etc/issue',
  controlSocket: '/run/hatchway.sock',
  shutdownGrace: '5s',
  drain: { limit: '1h' },
  log: { level: 'debug' },
  audit: { file: '/var/log/audit.jsonl' },
  metrics: { listen: '127.0.0.1:9464' },
  admin: { listen: '127.0.0.1:9465' },
}

/** What a key cannot be without. */
const WITH: Partial<Record<keyof Config, Record<string, unknown>>> = {
  authorizedKeysCommand: runner,
  authorizedKeysCommandUser: { ...runner, authorizedKeysCommand: program },
  authorizedPrincipalsCommand: runner,
  authorizedPrincipalsCommandUser: { ...runner, authorizedPrincipalsCommand: program },
}

function load(values: Record<string, unknown>) {
  const flags = Object.entries(values).map(([key, value]) => ({ flag: key, key: [key], value }))
  return loadConfig({ file: '/dev/null', env: { HOME: folder }, flags })
}

async function changed(key: keyof Config, value: unknown) {
  const common = { keysDirectory: join(folder, 'keys'), authorizedKeys: [file('keys')], ...WITH[key] }
  const [before, after] = [load(common), load({ ...common, [key]: value })]
  const tried = { usedSteps: createUsedSteps(join(folder, 'totp')), lockout: createLockout(join(folder, 'wrong')) }
  const people = await openPeople(before.config, tried, log)
  const inForce = createInForce(before.config, { people, tried, engine: { endpoint: 'unix:///' } }, undefined, log)
  const { restart } = await inForce.reload(new AbortController().signal, after)
  return { before: before.config, after: after.config, people, inForce, restart }
}

test('every key is in one of the tables, in no other', () => {
  expect([...Object.keys(LIVE), ...Object.keys(FIXED)].sort()).toEqual(Object.keys(configSchema.shape).sort())
})

test.each(Object.entries(LIVE))('%s is taken over', async (name, value) => {
  const key = name as keyof LiveConfig
  const { before, after, people, inForce, restart } = await changed(key, value)
  expect(after[key]).not.toEqual(before[key])
  expect(inForce.config()[key]).toEqual(after[key])
  expect(restart).toEqual([])
  expect(inForce.people() !== people).toBe(PEOPLE_KEYS.includes(key))
})

test.each(Object.entries(FIXED))('%s needs a restart', async (name, value) => {
  const { people, inForce, restart } = await changed(name as keyof FixedConfig, value)
  expect(restart).toEqual([name])
  expect(inForce.people()).toBe(people)
})

describe('config/hatchway.yaml', () => {
  const text = readFileSync(join(PACKAGE_ROOT, 'config', 'hatchway.yaml'), 'utf8')
  test.each(Object.keys(configSchema.shape))('says of %s whether it is live', (key) => {
    const [, comment] = new RegExp(`^((?:# .*\n)+)#?${key}:`, 'm').exec(text) ?? []
    expect(comment?.endsWith('(live)\n')).toBe(key in LIVE)
  })
})

test('a key that narrowed and is gone: everything stays as it was', async () => {
  const before = load({ keysDirectory: folder, authorizedKeys: [file('keys')], rules: [] })
  const tried = { usedSteps: createUsedSteps(join(folder, 'totp')), lockout: createLockout(join(folder, 'wrong')) }
  const people = await openPeople(before.config, tried, log)
  const inForce = createInForce(before.config, { people, tried, engine: { endpoint: 'unix:///' } }, undefined, log)
  const without = load({ keysDirectory: folder, authorizedKeys: [file('keys')], endWithdrawn: true })
  const failure = inForce.reload(new AbortController().signal, without)
  await expect(failure).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    message: expect.stringContaining('rules: gone'),
  })
  expect(inForce.config()).toBe(before.config)
  expect(inForce.people()).toBe(people)
})
