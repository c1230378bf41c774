/** What one session was granted and later ones of its connection have, too: the agent (Terraform, Packer, ssh -S). */
import { expect, test } from 'vitest'
import type { Identity } from '../../src/auth/identity.ts'
import type { Target } from '../../src/container/containers.ts'
import { deferred } from '../../src/lifetime/deferred.ts'
import { createGate } from '../../src/policy/gate.ts'
import type { Decision, Request } from '../../src/policy/request.ts'

const TARGET = { container: { name: 'web' }, info: { name: 'dev' } } as Target
const PLAIN = { env: new Map<string, string>(), agentForwarding: false }
const ASKING = { ...PLAIN, agentForwarding: true }

function world(resolve: () => Promise<Target | undefined> = async () => TARGET) {
  const asked: string[] = []
  const rules = { agent: true, env: true }
  const decide = async ({ action }: Request): Promise<Decision> => {
    asked.push(action.kind === 'env' ? `env ${action.name}` : action.kind)
    return (action.kind === 'agent' && !rules.agent) || (action.kind === 'env' && !rules.env)
      ? { allowed: false, by: 'no rule', reason: 'no' }
      : { allowed: true, by: 'rule 1', readOnly: false }
  }
  const held: string[] = []
  const hold = (requests: readonly Request[]) => {
    held.push(...requests.map(({ action }) => action.kind))
    return () => {}
  }
  const keeper = { decide, hold } as unknown as Parameters<typeof createGate>[0]
  const who = {
    identity: {} as Identity,
    origin: { connectionId: '1', login: 'dev@web', remote: { address: '', port: 0 } },
  }
  const gate = createGate(keeper, who, resolve, new AbortController().signal, () => {})
  return { gate, asked, held, rules }
}

test('an agent that was granted to one session is there for each later one, and the policy is asked each time', async () => {
  const { gate, asked } = world()
  expect((await gate.sift(PLAIN, TARGET)).agentForwarding).toBe(false)
  expect(asked).toEqual([])
  expect(await gate.allow({ kind: 'agent' })).toBe(true)
  for (let session = 0; session < 2; session++) expect((await gate.sift(PLAIN, TARGET)).agentForwarding).toBe(true)
  expect(asked).toEqual(['agent', 'agent', 'agent'])
  expect((await gate.sift(ASKING, TARGET)).agentForwarding).toBe(true)
  expect(asked).toHaveLength(4)
})

test('a later session does not overtake the answer', async () => {
  const resolving = deferred<Target>()
  const { gate } = world(() => resolving.promise)
  const allowing = gate.allow({ kind: 'agent' })
  const sifting = gate.sift(PLAIN, TARGET)
  resolving.resolve(TARGET)
  expect(await allowing).toBe(true)
  expect((await sifting).agentForwarding).toBe(true)
})

test('a permission that is gone by then counts; one that comes back does, too', async () => {
  const { gate, rules } = world()
  await gate.allow({ kind: 'agent' })
  rules.agent = false
  expect((await gate.sift(PLAIN, TARGET)).agentForwarding).toBe(false)
  rules.agent = true
  expect((await gate.sift(PLAIN, TARGET)).agentForwarding).toBe(true)
})

test('an agent that was refused is no later session’s', async () => {
  const { gate, rules, asked } = world()
  rules.agent = false
  expect(await gate.allow({ kind: 'agent' })).toBe(false)
  rules.agent = true
  expect((await gate.sift(PLAIN, TARGET)).agentForwarding).toBe(false)
  expect(asked).toEqual(['agent'])
})

test('where nobody knew the user when it was granted, it is asked for with the user', async () => {
  const { gate, asked, rules } = world(async () => undefined)
  expect(await gate.allow({ kind: 'agent' })).toBe(true)
  expect(asked).toEqual([])
  expect((await gate.sift(PLAIN, TARGET)).agentForwarding).toBe(true)
  expect(asked).toEqual(['agent'])
  rules.agent = false
  expect((await gate.sift(PLAIN, TARGET)).agentForwarding).toBe(false)
  expect((await gate.sift(ASKING, TARGET)).agentForwarding).toBe(false)
})

test('a gate that no request came to asks for each variable and for the display: a session’s second container', async () => {
  const { gate, asked, rules } = world()
  const env = new Map([
    ['LANG', 'C'],
    ['BASH_ENV', '/tmp/x'],
  ])
  const x11 = { singleConnection: false, protocol: '', cookie: '', screen: 0 }
  expect((await gate.sift({ ...PLAIN, env, x11 }, TARGET)).env).toEqual(env)
  expect(asked.toSorted()).toEqual(['env BASH_ENV', 'env LANG', 'x11'])
  rules.env = false
  expect((await gate.sift({ ...PLAIN, env }, TARGET)).env).toEqual(new Map())
})

test('variables that were asked for with the same user are not asked for again', async () => {
  const { gate, asked } = world()
  expect(await gate.allow({ kind: 'env', name: 'LANG' })).toBe(true)
  const env = new Map([['LANG', 'C']])
  expect((await gate.sift({ ...PLAIN, env }, TARGET)).env).toEqual(env)
  expect(asked).toEqual(['env LANG'])
})

test('what runs in a debug container is held by that permission as well, so that it ends when debug is withdrawn', () => {
  const { gate, held } = world()
  gate.hold([{ kind: 'shell' }], TARGET, () => {})
  gate.hold([{ kind: 'shell' }], { ...TARGET, container: { ...TARGET.container, beside: 'used' } }, () => {})
  expect(held).toEqual(['shell', 'shell', 'debug'])
})
