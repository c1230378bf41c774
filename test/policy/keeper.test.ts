/** What goes on is asked about again: each on its own, round after round. */
import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { deferred } from '../../src/lifetime/deferred.ts'
import { createPolicyKeeper } from '../../src/policy/live-policy.ts'
import type { Decision, Request } from '../../src/policy/request.ts'
import { CONTAINERS, PEOPLE } from './world.ts'

const NEVER = new AbortController().signal
const YES: Decision = { allowed: true, by: 'test', readOnly: false }
const NO: Decision = { allowed: false, by: 'test', reason: 'not today' }

type External = (request: Request) => Promise<Decision>

function world(external: External, count = 0) {
  const errors: object[] = []
  const ended: number[] = []
  const log = { info() {}, warn() {}, error: (fields: object) => errors.push(fields) }
  const settings = { acceptEnv: [], engine: { endpoint: 'e' }, external }
  const keeper = createPolicyKeeper(settings, async (identity) => identity, log as never)
  const request = (index: number): Request => ({
    identity: PEOPLE.alice as Request['identity'],
    origin: { connectionId: String(index), login: '', remote: { address: '127.0.0.1', port: 1 } },
    container: CONTAINERS.web as Request['container'],
    user: { name: 'dev', uid: 1000, groups: [] } as unknown as NonNullable<Request['user']>,
    action: { kind: 'shell' },
  })
  const letGo = Array.from({ length: count }, (_, index) =>
    keeper.hold([request(index)], () => ended.push(index), false),
  )
  return { keeper, settings, request, errors, ended, letGo }
}

test('reviews that are asked for during one are the next one, and ask a few questions at a time', async () => {
  let [asking, most, asked] = [0, 0, 0]
  const { keeper } = world(async () => {
    asked++
    most = Math.max(most, ++asking)
    await sleep(10)
    asking--
    return YES
  }, 20)
  const reviews = [keeper.review(NEVER)]
  await sleep(5)
  for (let i = 0; i < 4; i++) reviews.push(keeper.review(NEVER))
  expect(await Promise.all(reviews)).toEqual([0, 0, 0, 0, 0])
  expect(asked).toBe(40)
  expect(most).toBeGreaterThan(1)
  expect(most).toBeLessThanOrEqual(8)
})

test('a question that hangs keeps no other from being asked; the review ends with its signal', async () => {
  const { keeper, ended } = world(
    ({ origin }) => (origin.connectionId === '0' ? new Promise(() => {}) : Promise.resolve(NO)),
    20,
  )
  const stop = new AbortController()
  const review = keeper.review(stop.signal)
  await expect.poll(() => ended.length).toBe(19)
  stop.abort(new Error('the gateway is closing'))
  await expect(review).rejects.toThrow('the gateway is closing')
})

test('a question that fails is logged, ends nothing and no other question; it is asked again in the next review', async () => {
  let fails = true
  const { keeper, ended, errors } = world(async ({ origin }) => {
    if (origin.connectionId === '1' && fails) throw new Error('cannot tell')
    return NO
  }, 3)
  expect(await keeper.review(NEVER)).toBe(2)
  expect(ended).toEqual([0, 2])
  expect(errors).toMatchObject([{ connection: '1', identity: 'alice', action: 'shell' }])
  fails = false
  expect(await keeper.review(NEVER)).toBe(1)
  expect(ended).toEqual([0, 2, 1])
})

test('what was let go is not asked about, nor ended when its answer comes late', async () => {
  const answer = deferred<Decision>()
  let asked = 0
  const { keeper, ended, letGo } = world(() => {
    asked++
    return answer.promise
  }, 2)
  letGo[1]?.()
  const review = keeper.review(NEVER)
  await expect.poll(() => asked).toBe(1)
  letGo[0]?.()
  answer.resolve(NO)
  expect(await review).toBe(0)
  expect(ended).toEqual([])
})

test('what was asked under rules that were replaced before the answer is asked under the new ones', async () => {
  const late = deferred<Decision>()
  const { keeper, settings, request } = world(() => late.promise)
  const decision = keeper.decide(request(0))
  keeper.use({ ...settings, external: async () => NO })
  late.resolve(YES)
  expect(await decision).toMatchObject({ allowed: false, reason: 'not today' })
})

test('sftp that writes ends when it may only read; what reads goes on, and so does a shell', async () => {
  const { keeper, request } = world(async () => ({ ...YES, readOnly: true }))
  const ended: string[] = []
  const sftp = { ...request(0), action: { kind: 'sftp' } } as const
  keeper.hold([sftp], () => ended.push('writes'), false)
  keeper.hold([sftp], () => ended.push('reads'), true)
  keeper.hold([request(1)], () => ended.push('shell'), false)
  expect(await keeper.review(NEVER)).toBe(1)
  expect(ended).toEqual(['writes'])
})
