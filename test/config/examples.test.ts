/** The ready examples of config/examples/: each is loaded, and does what its first lines promise. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { PACKAGE_ROOT } from '../../src/base/package-root.ts'
import { loadConfig } from '../../src/config/load.ts'
import type { Config } from '../../src/config/schema.ts'
import { planContainer, plannedContainer } from '../../src/container/templates/template.ts'
import { advice } from '../../src/policy/lint.ts'
import { templateOwner } from '../../src/policy/owner.ts'
import { compilePolicy } from '../../src/policy/policy.ts'
import type { Request } from '../../src/policy/request.ts'
import { ENGINE, NOON, request } from '../policy/world.ts'

const FOLDER = join(PACKAGE_ROOT, 'config', 'examples')
const FILES = ['haproxy.yaml', 'one-person.yaml', 'robots.yaml', 'team.yaml', 'two-factors.yaml']

const load = (file: string): Config => loadConfig({ file: join(FOLDER, file), env: { HOME: '/home/dev' } }).config

it('all of them are tested, and the docs lead to each', () => {
  expect(readdirSync(FOLDER).sort()).toEqual(FILES)
  const docs = readFileSync(join(PACKAGE_ROOT, 'docs', 'configuration.md'), 'utf8')
  for (const file of FILES) expect(docs).toContain(`](../config/examples/${file})`)
})

describe.each(FILES)('%s', (file) => {
  it('is a configuration, of whose rules there is nothing to say', () => {
    const config = load(file)
    expect(config.rules === undefined ? [] : advice(config)).toEqual([])
  })

  it('names no file outside of its folder', () => {
    const { authorizedKeys = [], trustedUserCAKeys, revokedKeys, users } = load(file)
    const named = [...authorizedKeys, ...trustedUserCAKeys, ...revokedKeys]
    for (const user of Object.values(users)) named.push(...user.authorizedKeys, user.totpSecretFile ?? FOLDER)
    expect(named.filter((path) => !path.startsWith(FOLDER))).toEqual([])
  })
})

describe('who may do what', () => {
  interface Who {
    readonly groups?: string[]
    readonly principals?: string[]
  }
  const none: Who = {}
  const developer: Who = { groups: ['developers'] }
  const operator: Who = { groups: ['developers', 'operators'] }
  const deploy: Who = { principals: ['deploy'] }
  const tests: Who = { principals: ['test'] }

  function allowed(file: string, who: Who, request: Request): boolean {
    const policy = compilePolicy({ rules: load(file).rules, acceptEnv: [], engine: { endpoint: ENGINE } })
    return policy({ ...request, identity: { ...request.identity, groups: [], ...who } }, NOON).allowed
  }

  it.each([
    ['team.yaml', developer, 'alice dev@web shell', true],
    ['team.yaml', developer, 'alice root@web shell', false],
    ['team.yaml', developer, 'alice dev@lone shell', false],
    ['team.yaml', operator, 'alice root@lone shell', true],
    ['team.yaml', none, 'alice dev@web enter', false],
    ['robots.yaml', deploy, 'carol app@web exec /opt/deploy v2', true],
    ['robots.yaml', deploy, 'carol app@web exec sh', false],
    ['robots.yaml', deploy, 'carol app@web shell', false],
    ['robots.yaml', tests, 'carol app@web exec true', false],
    ['two-factors.yaml', none, 'alice root@web shell', true],
    ['two-factors.yaml', none, 'carol dev@web enter', false],
  ])('%s: %j: %s: %s', (file, who, line, expected) => expect(allowed(file, who, request(line))).toBe(expected))

  it.each([
    ['team.yaml', developer, 'node', true],
    ['team.yaml', none, 'node', false],
    ['robots.yaml', tests, 'ci', true],
    ['robots.yaml', deploy, 'ci', false],
  ])('%s: %j: a container from %s: %s', (file, who, template, expected) => {
    const { identity, origin } = request('alice web enter')
    const route = { template: { name: template, kind: 'fresh' } } as const
    const container = plannedContainer(planContainer(load(file).templates ?? {}, route, templateOwner(identity), {}))
    const action = { kind: 'create', template, personal: false } as const
    expect(allowed(file, who, { identity, origin, container, action })).toBe(expected)
  })
})

it('two factors are asked for, but where a key is two already', async () => {
  const { authenticationMethods, users } = load('two-factors.yaml')
  expect(authenticationMethods).toEqual(['publickey,keyboard-interactive'])
  expect(users.alice?.totpSecretFile).toBe(join(FOLDER, 'users', 'alice.totp'))
  expect(users.bob?.authenticationMethods).toEqual(['publickey'])
})

it('HAProxy is configured as the test with a real one has it', () => {
  const text = readFileSync(join(FOLDER, 'haproxy.yaml'), 'utf8')
  const real = readFileSync(join(PACKAGE_ROOT, 'test', 'e2e', 'haproxy.test.ts'), 'utf8')
  for (const line of ['option tcp-check', 'tcp-check expect rstring ^SSH-2.0-', 'check check-send-proxy']) {
    expect(text).toContain(line)
    expect(real).toContain(line)
  }
})
