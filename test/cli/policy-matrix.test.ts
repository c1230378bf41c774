/** What somebody may do where, as a table; and what is said of rules that create. */
import { expect, it } from 'vitest'
import { matrixTable, policyMatrix } from '../../src/cli/policy-matrix.ts'
import { loadConfig } from '../../src/config/load.ts'
import { advice } from '../../src/policy/lint.ts'
import { CONTAINERS, ENGINE, NOON, PEOPLE } from '../policy/world.ts'

const TEMPLATES = { node: { image: 'node:22', user: 'node' }, ci: { image: 'debian', labels: { team: 'blue' } } }

function config(rules: unknown) {
  const flags = [
    { flag: 'templates', key: ['templates'], value: TEMPLATES },
    ...(rules === undefined ? [] : [{ flag: 'rules', key: ['rules'], value: rules }]),
  ]
  return loadConfig({ file: '/dev/null', env: { HOME: '/home/dev' }, flags }).config
}

function rows(who: string, rules: unknown, now = NOON) {
  const identity = PEOPLE[who]
  if (!identity) throw new Error(who)
  const containers = Object.values(CONTAINERS)
  return policyMatrix({
    config: config(rules),
    identity,
    containers,
    engine: { endpoint: ENGINE },
    from: '10.1.2.3',
    now,
  })
}
const short = (who: string, rules: unknown, now?: Date) =>
  rows(who, rules, now).map(({ container, users, may }) => {
    const allowed = Object.entries(may).flatMap(([head, cell]) => (cell === '-' ? [] : [`${head}:${cell}`]))
    return `${users.join(',')}@${container} ${allowed.join(' ')}`
  })

const RULES = [
  { effect: 'deny', containers: { names: ['db'] }, actions: { exec: true } },
  {
    who: { groups: ['dev'] },
    containers: { projects: ['shop'] },
    users: ['dev', 'app', '1000'],
    actions: { exec: ['git *'], sftp: 'read-only', forwardLocal: ['localhost:*'], agent: true },
  },
  { who: { groups: ['dev'] }, containers: { names: ['lone'] }, users: ['*'], actions: { shell: true } },
  {
    who: { groups: ['dev'] },
    actions: { create: ['node'], shell: true },
    containers: { labels: { 'hatchway.template': '*' } },
  },
]

it('a row for each container in which something is allowed, users with the same together', () => {
  expect(short('alice', RULES)).toEqual([
    'dev,app,1000@db sftp:read -L:some agent:yes',
    'dev,app,1000,*@lone shell:yes',
    'dev,app,1000@web exec:some sftp:read -L:some agent:yes',
    'node@+node shell:yes',
  ])
  expect(short('bob', RULES)).toEqual([])
})

it('what the key takes away is not there, and a list of ports in it is some', () => {
  expect(short('kim', [{ containers: { names: ['web'] }, users: ['dev'] }])).toEqual([
    'dev@web shell:yes exec:yes sftp:yes -L:some -R:yes x11:yes start:yes',
  ])
})

it('without rules everybody is everybody, and labels still narrow', () => {
  const all = short('bob', undefined)
  expect(all).toContain('root,*@web shell:yes exec:yes sftp:yes -L:yes -R:yes socket:yes agent:yes x11:yes start:yes')
  expect(all.filter((row) => row.includes('@for-alice'))).toEqual([])
})

it.each([40, 80, 120])('the table fits %i columns, and has every action: in blocks where it must', (width) => {
  const lines = matrixTable(rows('alice', RULES), width).trimEnd().split('\n')
  for (const line of lines) expect(line.length).toBeLessThanOrEqual(width)
  const heads = lines.filter((line) => line.startsWith('CONTAINER'))
  expect(lines).toHaveLength(heads.length * 6 - 1)
  const shown = heads.flatMap((line) => line.split(/ +/).slice(2))
  expect(shown).toEqual(['SHELL', 'EXEC', 'SFTP', '-L', '-R', 'SOCKET', 'AGENT', 'X11', 'START'])
})

it('a terminal too narrow for a block has every action all the same', () => {
  expect(matrixTable(rows('alice', RULES), 20)).toContain('START')
})

it.each([
  [{ actions: { create: ['node'] } }, undefined],
  [{ actions: { create: true } }, undefined],
  [{ actions: { create: ['node'] }, containers: { labels: { 'hatchway.template': 'node' } } }, undefined],
  [{ actions: { create: ['node'] }, containers: { labels: { 'hatchway.kind': 'personal' } } }, undefined],
  [{ actions: { create: ['node'] }, containers: { names: ['hatchway-node-*'] } }, undefined],
  [{ actions: { create: ['ci'] }, containers: { labels: { team: 'blue' } } }, undefined],
  [{ actions: { create: ['n*'] }, containers: { images: ['node:*'], engines: ['unix:*'] } }, undefined],
  [{ actions: { create: ['nod'] } }, /no template nod/],
  [
    { actions: { create: ['node'] }, containers: { projects: ['shop'] } },
    /create never applies .*hatchway.template: node/,
  ],
  [{ actions: { create: ['node'] }, containers: { labels: { team: 'blue' } } }, /create never applies/],
  [{ actions: { create: true }, containers: { names: ['web'] } }, /no container made from node, ci is one of its/],
])('advice on %j: %s', (rule, expected) => {
  const said = advice(config([rule])).map(({ text }) => text)
  expect(said).toEqual(expected === undefined ? [] : [expect.stringMatching(expected)])
})
