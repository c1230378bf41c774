/** What the policy says of recording: the strictest of all that grants what a session does. */
import { describe, expect, test } from 'vitest'
import { type RecordTerms, strictest } from '../../src/config/recording.ts'
import { type RuleInput, rules } from '../../src/config/rules.ts'
import { joined } from '../../src/policy/joined.ts'
import { compilePolicy } from '../../src/policy/policy.ts'
import type { Action } from '../../src/policy/request.ts'
import { anna, dev, web } from '../support/people-and-places.ts'

const USUAL = ['terminal', 'commands', 'files', 'forwards']

describe('the strictest', () => {
  test.each([
    [[undefined, 'off'], undefined],
    [['best-effort', undefined], { mode: 'best-effort', of: USUAL, notice: false }],
    [['required', 'best-effort', 'off'], { mode: 'required', of: USUAL, notice: false }],
    [
      [
        { mode: 'best-effort', of: ['terminal'], notice: true },
        { mode: 'required', of: ['input'] },
      ],
      { mode: 'required', of: ['terminal', 'input'], notice: true },
    ],
    [[{ mode: 'off', of: ['input'], notice: true }, 'best-effort'], { mode: 'best-effort', of: USUAL, notice: false }],
  ] as const)('of %j', (all, terms) => {
    expect(strictest(all as never)).toEqual(terms)
  })
})

const origin = { connectionId: 'c1', login: 'dev@web', remote: { address: '10.0.0.1', port: 1 } }

function asked(table: RuleInput[] | undefined, record?: 'required' | 'best-effort') {
  const engine = { endpoint: 'unix:///x' } as never
  const decide = compilePolicy({ acceptEnv: [], engine, record, ...(table && { rules: rules.parse(table) as never }) })
  return (action: Action): RecordTerms | undefined => {
    const decision = decide({ identity: anna, origin, container: web, user: dev, action }, new Date())
    return decision.allowed ? decision.record : undefined
  }
}

test('of a rule that says nothing the default holds, one that says off is off', () => {
  const ask = asked([{ actions: { shell: true } }, { actions: { sftp: true }, record: 'off' }], 'best-effort')
  expect(ask({ kind: 'shell' })?.mode).toBe('best-effort')
  expect(ask({ kind: 'sftp' })).toBeUndefined()
})

test('without rules the default holds for all', () => {
  expect(asked(undefined, 'required')({ kind: 'shell' })?.mode).toBe('required')
  expect(asked(undefined)({ kind: 'shell' })).toBeUndefined()
})

test('shell and terminal by two rules: the stricter holds, whichever was asked first', () => {
  const ask = asked([
    { actions: { shell: true, pty: false } },
    { actions: { pty: true }, record: { mode: 'required', notice: true } },
  ])
  const grant = (action: Action) => {
    const record = ask(action)
    return { allowed: true, by: action.kind, readOnly: false, ...(record && { record }) } as const
  }
  for (const [one, two] of [
    ['shell', 'pty'],
    ['pty', 'shell'],
  ] as const) {
    const both = joined(grant({ kind: one }), grant({ kind: two }))
    expect(both).toMatchObject({ by: one, record: { mode: 'required', notice: true } })
  }
})

test('a rule that denies cannot record', () => {
  expect(rules.safeParse([{ effect: 'deny', record: 'required' }]).success).toBe(false)
})
