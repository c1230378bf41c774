/** Anything as a rule, anything as a request: nothing throws, nothing hangs, and what must never widen never does. */
import { expect, test } from 'vitest'
import { fileLayer } from '../../src/config/layers.ts'
import { parseHostPort, parseWindow } from '../../src/config/rule-values.ts'
import { type RuleInput, rules } from '../../src/config/rules.ts'
import { compilePolicy } from '../../src/policy/policy.ts'
import type { Request } from '../../src/policy/request.ts'
import { FUZZ_LIMIT_MS, inputs, pick, random } from '../support/fuzz.ts'
import { ENGINE, NOON, PEOPLE, request } from './world.ts'

/** What is chosen at random, by one generator. */
function randomFrom(seed: number) {
  const below = random(seed)
  const one = <T>(items: readonly T[]): T => pick(items, below)
  const some = <T>(items: readonly T[]): T[] => Array.from({ length: 1 + below(2) }, () => one(items))
  return { below, pick: one, some, maybe: () => below(3) === 0 }
}

const COMMANDS = ['git *', 'id', '*', 'echo ?', "git-upload-pack '*'", 'a*b*c*d']
const TARGETS = ['db:5432', '*:80', 'localhost:*', '10.0.0.0/8:1-100', '[::1]:80', '*.svc:*']
const PATHS = ['/run/*', '/var/run/docker.sock', '*']

function randomRule({ below, pick, some, maybe }: ReturnType<typeof randomFrom>): RuleInput {
  const flag = <T>(list: readonly T[]) => (below(2) === 0 ? below(2) === 0 : some(list))
  const effect = pick(['allow', 'allow', 'deny'] as const)
  return {
    effect,
    ...(maybe() && { who: { identities: some(['alice', 'bob', '*', 'c*', 'd??e']) } }),
    ...(maybe() && { who: { groups: some(['dev', 'ops', 's*']) } }),
    ...(maybe() && { containers: { names: some(['web', 'web*', 'db', '*']) } }),
    ...(maybe() && { containers: { labels: { team: pick(['blue', '*', 're?']) } } }),
    ...(maybe() && { users: some(['dev', '*', 'root', '0', '4242', 'toor', 'r*']) }),
    ...(maybe() && { from: some(['10.0.0.0/8', '192.0.2.1', '::/0']) }),
    ...(maybe() && { when: [pick(['Mon-Fri 08:00-18:00 UTC', 'Sat,Sun', '22:00-06:00 UTC'])] }),
    ...(maybe() && {
      actions: {
        shell: below(2) === 0,
        exec: flag(COMMANDS),
        sftp: effect === 'deny' ? below(2) === 0 : pick([true, false, 'read-only' as const]),
        forwardLocal: flag(TARGETS),
        forwardRemote: flag(TARGETS),
        forwardSocket: flag(PATHS),
        env: flag(['LANG', 'LC_*']),
        start: true,
      },
    }),
  }
}

const WHAT = [
  'enter',
  'shell',
  'sftp',
  'pty',
  'agent',
  'exec git pull',
  'exec git pull; sh',
  'exec echo x',
  'env LANG',
  'env PATH',
  '-L db:5432',
  '-L 127.0.0.1:80',
  '-L ::ffff:10.0.0.1:22',
  '-R localhost:80',
  'socket /run/x',
  'socket /run/../var/run/docker.sock',
  'start',
]

test(
  'requests to random tables: what must never widen never does',
  () => {
    const random = randomFrom(20_270_112)
    const { pick, below } = random
    const people = Object.keys(PEOPLE)
    const counts = { allowed: 0, refused: 0 }
    for (let round = 0; round < inputs(2_000); round++) {
      const table = rules.parse(Array.from({ length: 1 + below(4) }, () => randomRule(random)))
      const settings = { rules: table, acceptEnv: ['LANG', 'LC_*'], engine: { endpoint: ENGINE } }
      const decide = compilePolicy(settings)
      const shut = compilePolicy({ ...settings, rules: [...rules.parse([{ effect: 'deny' }]), ...table] })
      for (let turn = 0; turn < 50; turn++) {
        const line = `${pick(people)} ${pick(['dev@', 'dev@', 'dev@', 'dev@', 'dev@', 'root@', 'toor@', '4242@', ''])}${pick(['web', 'db', 'web-2', 'lone', 'for-alice', 'as-app'])} ${pick(WHAT)}`
        const asked = request(line, pick(['10.1.2.3', '::ffff:192.0.2.1', '2001:db8::1', 'nonsense', '']))
        const decision = decide(asked, NOON)
        counts[decision.allowed ? 'allowed' : 'refused']++
        const because = () => `${line}\n${JSON.stringify(table)}`
        const { labels } = asked.container
        const narrower: Request = {
          ...asked,
          container: {
            ...asked.container,
            labels: { ...labels, 'hatchway.allow': pick(['', 'alice', '@dev', 'zoe']) },
          },
        }
        if (!decision.allowed && decision.by.startsWith('rule') && decide(narrower, NOON).allowed)
          throw new Error(because())
        if (decision.allowed && asked.user?.uid === 0) {
          const named = table.some(
            ({ effect, users }) => effect === 'allow' && users?.some((name) => /^(root|0)$/.test(name)),
          )
          if (!named) throw new Error(`root by no name: ${because()}`)
        }
        if (decision.allowed && asked.user?.uid === 4242) {
          const named = table.some(({ effect, users }) => effect === 'allow' && users?.includes('4242'))
          if (!named) throw new Error(`a number by no number: ${because()}`)
        }
        if (decision.allowed && asked.action.kind === 'exec' && asked.action.command.includes(';')) {
          const whole = table.some(({ effect, actions }) => effect === 'allow' && (!actions || actions.exec === true))
          if (!whole) throw new Error(`a shell by a pattern: ${because()}`)
        }
        if (shut(asked, NOON).allowed) throw new Error(`past a rule that denies all: ${because()}`)
      }
    }
    // Neither side of it was idle.
    expect(Math.min(counts.allowed, counts.refused)).toBeGreaterThan(inputs(5_000))
  },
  FUZZ_LIMIT_MS,
)

test('texts where addresses and hours belong', () => {
  const { below, pick } = randomFrom(7)
  const parts = [
    '10.',
    '0',
    ':',
    '[',
    ']',
    '::',
    '/8',
    '-',
    '*',
    'Mon',
    'Fri',
    ',',
    ' ',
    '08:00',
    '24:00',
    'UTC',
    'é',
    '\0',
    'x',
  ]
  const counts = { hosts: 0, windows: 0 }
  for (let round = 0; round < inputs(200_000); round++) {
    const text = Array.from({ length: below(8) }, () => pick(parts)).join('')
    const host = parseHostPort(text)
    if (host && !(host.from <= host.to && host.to <= 65_535)) throw new Error(text)
    if (host) counts.hosts++
    if (parseWindow(text)) counts.windows++
  }
  expect(Math.min(counts.hosts, counts.windows)).toBeGreaterThan(inputs(100))
})

test(
  'mutations of a configuration file: a table or problems, never a throw',
  () => {
    const good = `rules:
  - name: a
    effect: deny
    who: { identities: [alice, '*'], groups: [dev] }
    containers: { names: ['web-*'], labels: { team: blue } }
    users: [dev, root]
    actions: { exec: ['git *'], sftp: true, forwardLocal: ['localhost:80'] }
    from: [10.0.0.0/8]
    when: ['Mon-Fri 08:00-18:00 UTC']
  - {}
endWithdrawn: true
`
    const { below, pick } = randomFrom(99)
    const bits = [
      '&a',
      '*a',
      '[',
      ']',
      '{',
      '}',
      ':',
      '- ',
      '\n',
      '  ',
      "'",
      '"',
      '!!binary',
      '<<',
      '0x',
      '~',
      '#',
      '\t',
      '\0',
      '|',
      '>',
      '__proto__',
    ]
    let parsed = 0
    for (let round = 0; round < inputs(10_000); round++) {
      let text = good
      for (let change = 0; change <= below(3); change++) {
        const at = below(text.length)
        text = text.slice(0, at) + (below(3) === 0 ? '' : pick(bits)) + text.slice(at + below(4))
      }
      const layer = fileLayer(text, 'x.yaml', '/home/x')
      if (layer.problems.length > 0) continue
      const result = rules.safeParse(layer.tree.rules)
      if (result.success) parsed++
    }
    expect(parsed).toBeGreaterThan(inputs(500))
  },
  FUZZ_LIMIT_MS,
)
