import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Flag } from '../../src/config/layers.ts'
import { ConfigError, loadConfig } from '../../src/config/load.ts'

let directory: string
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'hw-test-config-'))
})
afterAll(() => rmSync(directory, { recursive: true }))

function load(yaml: string, env: NodeJS.ProcessEnv = {}, flags: Flag[] = []) {
  const file = join(directory, 'hatchway.yaml')
  writeFileSync(file, yaml)
  return loadConfig({ file, env: { HOME: '/home/dev', ...env }, flags })
}

function problems(yaml: string, env: NodeJS.ProcessEnv = {}, flags: Flag[] = []): string[] {
  try {
    load(yaml, env, flags)
  } catch (error) {
    if (error instanceof ConfigError) return error.problems.map((problem) => problem.replaceAll(`${directory}/`, ''))
    throw error
  }
  return []
}

describe('configuration', () => {
  it('has the defaults of sshd_config(5)', () => {
    const { config } = load('')
    expect(config.listen).toEqual([{ host: '127.0.0.1', port: 2222 }])
    expect(config.limits).toEqual({
      maxAuthTries: 6,
      loginGraceTime: 120_000,
      maxStartups: { start: 150, rate: 30, full: 300 },
      perSourceMaxStartups: 100,
      perSourceNetBlockSize: { ipv4: 32, ipv6: 64 },
      perSourcePenalties: {
        enabled: true,
        penalties: { crash: 90_000, authfail: 5000, noauth: 1000, 'grace-exceeded': 10_000, refuseconnection: 10_000 },
        max: 600_000,
        min: 15_000,
        maxSources4: 65_536,
        maxSources6: 65_536,
        overflow4: 'permissive',
        overflow6: 'permissive',
      },
      // Ours: your own machine is where most logins come from.
      perSourcePenaltyExemptList: [
        { family: 4, value: 0x7f000000n, bits: 8 },
        { family: 6, value: 1n, bits: 128 },
      ],
      refuseConnection: [],
      maxSessions: 10,
      clientAliveInterval: 60_000,
      clientAliveCountMax: 9,
      rekeyLimit: { bytes: 1024 ** 3, milliseconds: 3_600_000 },
      channelTimeout: [],
      unusedConnectionTimeout: 0,
      sessionIdleTimeout: 0,
      sessionMaxTime: 0,
      sessionTimeoutWarning: 60_000,
      maxSessionsPerIdentity: 0,
      maxConnectionsPerIdentity: 100,
    })
  })

  it('lets the environment override the file, and flags override both', () => {
    const yaml = 'log: { level: debug, commands: true }\nlimits: { maxSessions: 3, maxAuthTries: 2 }'
    const env = {
      HATCHWAY_LOG_LEVEL: 'warn',
      HATCHWAY_LIMITS_MAX_SESSIONS: '4',
      HATCHWAY_LISTEN: '[::1]:0, 0.0.0.0:22',
    }
    const { config } = load(yaml, env, [{ flag: '--log-level', key: ['log', 'level'], value: 'error' }])
    expect(config.log).toMatchObject({ level: 'error', commands: true })
    expect(config.limits).toMatchObject({ maxSessions: 4, maxAuthTries: 2 })
    expect(config.listen).toEqual([
      { host: '::1', port: 0 },
      { host: '0.0.0.0', port: 22 },
    ])
  })

  it('takes file names relative to the file they stand in, and ~ as home', () => {
    const { config } = load('authorizedKeys: [keys, ~/k, /abs]\nlog: { file: x.log }')
    expect(config.authorizedKeys).toEqual([join(directory, 'keys'), '/home/dev/k', '/abs'])
    expect(config.log.file).toBe(join(directory, 'x.log'))
  })

  it('names file, line and key of every problem at once', () => {
    const yaml = `listen:
  - 127.0.0.1:2222
  - nowhere
limits:
  maxAuthTries: six
  loginGraceTime: 2 minutes
  maxSession: 4
engine:
  kind: podman
listn: []
environment:
  accept: [LANG, 'a b']
  set: { 'x-y': z }
`
    expect(problems(yaml)).toEqual([
      'hatchway.yaml:3: listen.1: expected HOST:PORT or [V6ADDRESS]:PORT, got "nowhere"',
      'hatchway.yaml:9: engine.kind: expected one of auto, docker, cli, containerd, kubernetes, got "podman"',
      'hatchway.yaml:12: environment.accept.1: expected a name or pattern such as LANG or LC_*',
      'hatchway.yaml:13: environment.set.x-y: expected a variable name',
      'hatchway.yaml:5: limits.maxAuthTries: expected a number, got "six"',
      'hatchway.yaml:6: limits.loginGraceTime: expected a time such as 90, 120s, 2m or 1h30m (at most 24 days), got "2 minutes"',
      'hatchway.yaml:7: limits.maxSession: there is no such key; is maxSessions meant?',
      'hatchway.yaml:10: listn: there is no such key; is listen meant?',
    ])
  })

  it('names the variable or flag that is wrong', () => {
    const flags = [{ flag: '--guest', key: ['guest'], value: 'maybe' }]
    expect(problems('guest: off', { HATCHWAY_LIMITS_MAX_SESSIONS: 'many' }, flags)).toEqual([
      '--guest: guest: expected one of auto, off, require, got "maybe"',
      'HATCHWAY_LIMITS_MAX_SESSIONS: limits.maxSessions: expected a number, got "many"',
    ])
  })

  it('names the line of broken YAML, and refuses a key given twice', () => {
    expect(problems('guest: auto\nlog: {\n')[0]).toMatch(/^hatchway\.yaml:\d: /)
    expect(problems('guest: auto\nguest: off\n')[0]).toMatch(/^hatchway\.yaml:2: .*unique/)
    expect(problems('- a\n- b\n')).toEqual([
      'hatchway.yaml:1: expected keys with values, as in "listen: [127.0.0.1:2222]"',
    ])
  })

  it('refuses a document that aliases expand without end', () => {
    const bomb = `a: &a [x,x,x,x,x,x,x,x,x]\n${['b', 'c', 'd', 'e', 'f', 'g']
      .map((name, index) => `${name}: &${name} [${Array(9).fill(`*${'abcdef'[index]}`).join(',')}]`)
      .join('\n')}`
    expect(problems(bomb)[0]).toMatch(/alias/)
  })

  it('says which file cannot be read', () => {
    expect(() => loadConfig({ file: '/nonexistent/h.yaml', env: {} })).toThrow(/\/nonexistent\/h\.yaml: cannot be read/)
  })

  it('warns of a misspelt variable', () => {
    expect(load('', { HATCHWAY_LISTN: 'x' }).warnings).toEqual([
      'HATCHWAY_LISTN in the environment is no setting; is HATCHWAY_LISTEN meant?',
    ])
  })

  it('keeps keys in the state directory where the checkout cannot hold them', () => {
    expect(load('keysDirectory: ~/k').config.keysDirectory).toBe('/home/dev/k')
  })
})
