/** PerSourcePenalties by a clock of the test's own, as srclimit.c of OpenSSH 9.8 adds them up. */
import { randomInt } from 'node:crypto'
import { expect, test } from 'vitest'
import { parseAddress, parseBlock } from '../../src/net/address.ts'
import { Admission } from '../../src/ssh/admission.ts'
import { ExpiryQueue } from '../../src/ssh/expiry-queue.ts'
import type { SshLimits } from '../../src/ssh/limits.ts'
import { type Misdeed, Penalties, type PenaltySettings } from '../../src/ssh/penalties.ts'
import { LIMITS } from './support.ts'

const blocks = (...texts: string[]) => texts.flatMap((text) => parseBlock(text) ?? [])

function setUp(settings: Partial<PenaltySettings> = {}, more: Partial<SshLimits> = {}) {
  let now = 1000
  const perSourcePenalties = { ...LIMITS.perSourcePenalties, enabled: true, ...settings }
  const limits = { ...LIMITS, perSourcePenalties, ...more }
  const penalties = new Penalties(
    () => limits,
    () => now,
  )
  const address = (text: string) => {
    const parsed = parseAddress(text)
    if (!parsed) throw new Error(text)
    return parsed
  }
  return {
    penalties,
    limits,
    add: (text: string, misdeed: Misdeed = 'authfail') => penalties.add(address(text), misdeed),
    refusal: (text: string) => penalties.refusal(address(text)),
    wait: (seconds: number) => {
      now += seconds * 1000
    },
  }
}

test('time adds up, refuses beyond min, and runs out', () => {
  const { add, refusal, wait } = setUp()
  expect(add('192.0.2.7')).toEqual({ source: '192.0.2.7/32', misdeed: 'authfail', milliseconds: 5000, active: false })
  add('192.0.2.7')
  expect(add('192.0.2.7')).toMatchObject({ milliseconds: 15_000, active: false })
  expect(refusal('192.0.2.7')).toBeUndefined()
  expect(add('192.0.2.7')).toMatchObject({ milliseconds: 20_000, active: true })
  expect(refusal('192.0.2.7')).toBe('penalty: authfail')
  expect(refusal('192.0.2.8')).toBeUndefined()
  wait(19)
  expect(refusal('192.0.2.7')).toBe('penalty: authfail')
  wait(2)
  expect(refusal('192.0.2.7')).toBeUndefined()
  // All is forgiven.
  expect(add('192.0.2.7')).toMatchObject({ milliseconds: 5000, active: false })
})

test('what was served is gone: slow failures never add up', () => {
  const { add, refusal, wait } = setUp()
  for (let i = 0; i < 100; i++) {
    expect(add('192.0.2.7')?.active).toBe(false)
    wait(6)
  }
  expect(refusal('192.0.2.7')).toBeUndefined()
})

test.each([
  ['crash', 90_000, true],
  ['authfail', 5000, false],
  ['noauth', 1000, false],
  ['grace-exceeded', 10_000, false],
  ['refuseconnection', 10_000, false],
] as const)('%s costs %d ms by default', (misdeed, milliseconds, active) => {
  expect(setUp().add('192.0.2.7', misdeed)).toMatchObject({ milliseconds, active })
})

test('adding up ends at max', () => {
  const { add } = setUp({ max: 100_000 })
  expect(add('192.0.2.7', 'crash')).toMatchObject({ milliseconds: 90_000 })
  expect(add('192.0.2.7', 'crash')).toMatchObject({ milliseconds: 100_000 })
})

test('the network of a source is one source', () => {
  const { add, refusal } = setUp({ min: 0 }, { perSourceNetBlockSize: { ipv4: 24, ipv6: 64 } })
  expect(add('192.0.2.7')?.source).toBe('192.0.2.0/24')
  expect(add('2001:db8:1:2:3:4:5:6')?.source).toBe('2001:db8:1:2::/64')
  expect(refusal('192.0.2.200')).toBeDefined()
  expect(refusal('192.0.3.7')).toBeUndefined()
  expect(refusal('2001:db8:1:2::1')).toBeDefined()
  expect(refusal('2001:db8:1:3::1')).toBeUndefined()
})

test('who is exempt, gets none and is never refused; disabled, nobody is', () => {
  const exempt = setUp({ min: 0 }, { perSourcePenaltyExemptList: blocks('192.0.2.0/24', '::1') })
  expect(exempt.add('192.0.2.7', 'crash')).toBeUndefined()
  expect(exempt.add('::1', 'crash')).toBeUndefined()
  expect(exempt.add('::ffff:192.0.2.7', 'crash')).toBeUndefined()
  expect(exempt.add('192.0.3.7', 'crash')).toBeDefined()
  expect(setUp({ enabled: false }).add('192.0.2.7', 'crash')).toBeUndefined()
  expect(
    setUp({ penalties: { ...LIMITS.perSourcePenalties.penalties, noauth: 0 } }).add('192.0.2.7', 'noauth'),
  ).toBeUndefined()
})

test('permissive: beyond max-sources the penalty that ends first makes room', () => {
  const { add, refusal, penalties } = setUp({ maxSources4: 2, min: 0 })
  add('192.0.2.1', 'crash')
  add('192.0.2.2', 'noauth')
  add('192.0.2.3', 'authfail')
  expect(penalties.size).toBe(2)
  expect([1, 2, 3].map((n) => refusal(`192.0.2.${n}`))).toEqual(['penalty: crash', undefined, 'penalty: authfail'])
})

test('deny-all: with a full table all are refused but who is exempt, IPv6 for itself, until one runs out', () => {
  const { add, refusal, wait } = setUp(
    { maxSources4: 2, min: 0, overflow4: 'deny-all' },
    { perSourcePenaltyExemptList: blocks('198.51.100.1') },
  )
  add('192.0.2.1', 'crash')
  add('192.0.2.2', 'noauth')
  expect(add('192.0.2.3')).toBeUndefined()
  expect(refusal('203.0.113.1')).toBe('too many penalised addresses')
  expect(refusal('198.51.100.1')).toBeUndefined()
  expect(refusal('2001:db8::1')).toBeUndefined()
  wait(2)
  expect(refusal('203.0.113.1')).toBeUndefined()
})

test('a flood of sources stays within max-sources', () => {
  const { add, penalties, wait } = setUp({ maxSources4: 1000, maxSources6: 500 })
  for (let i = 0; i < 50_000; i++) {
    add(`10.${randomInt(256)}.${randomInt(256)}.${randomInt(256)}`, i % 3 === 0 ? 'crash' : 'noauth')
    add(`2001:db8::${randomInt(65_536).toString(16)}`)
    wait(0.001)
  }
  expect(penalties.size).toBe(1500)
  wait(1000)
  add('192.0.2.1')
  add('2001:db8::1')
  expect(penalties.size).toBe(2)
})

test('settings that change are those of the next moment', () => {
  let limits: SshLimits = { ...LIMITS, perSourcePenalties: { ...LIMITS.perSourcePenalties, enabled: true, min: 0 } }
  const penalties = new Penalties(
    () => limits,
    () => 0,
  )
  const address = parseAddress('192.0.2.7')
  if (!address) throw new Error('no address')
  penalties.add(address, 'crash')
  expect(penalties.refusal(address)).toBeDefined()
  limits = { ...limits, perSourcePenaltyExemptList: blocks('192.0.2.7') }
  expect(penalties.refusal(address)).toBeUndefined()
})

test('the queue keeps its order and its size through anything', () => {
  const queue = new ExpiryQueue<{ expiry: number }>()
  const model = new Map<string, number>()
  for (let i = 0; i < 20_000; i++) {
    const key = String(randomInt(200))
    const expiry = randomInt(1000)
    if (i % 4 < 3) {
      queue.set(key, { expiry })
      model.set(key, expiry)
    } else if (i % 8 === 3) {
      const least = Math.min(...model.values())
      queue.shift()
      const gone = [...model].filter(([name]) => queue.get(name) === undefined)
      if (model.size > 0) expect(gone.map(([, value]) => value)).toEqual([least])
      for (const [name] of gone) model.delete(name)
    } else {
      const now = randomInt(20)
      queue.expire(now)
      for (const [name, value] of model) if (value < now) model.delete(name)
    }
    expect(queue.size).toBe(model.size)
  }
  for (const [name, value] of model) expect(queue.get(name)?.expiry).toBe(value)
})

test('a place is counted until the login, or the end, and given back once', () => {
  const limits = { ...LIMITS, maxStartups: { start: 3, rate: 100, full: 3 }, perSourceMaxStartups: 2 }
  const admission = new Admission(
    () => limits,
    () => {},
  )
  const enter = (text: string) => {
    const place = admission.enter({ address: text, port: 1 })
    return 'reason' in place ? place.reason : place
  }
  const [first, second] = [enter('192.0.2.1'), enter('192.0.2.1')]
  expect(enter('192.0.2.1')).toBe('per-source-max-startups')
  const third = enter('192.0.2.2')
  expect(enter('192.0.2.3')).toBe('max-startups')
  for (const place of [first, second, third]) {
    if (typeof place === 'string') throw new Error(place)
    place.loggedIn()
    place.left('authfail')
    place.left('authfail')
  }
  expect([1, 2, 3].map((n) => typeof enter(`192.0.2.${n}`))).toEqual(['object', 'object', 'object'])
  expect(enter('192.0.2.4')).toBe('max-startups')
})
