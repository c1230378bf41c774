/** Key exchanges before the login: what they may cost together, and that who waits for its turn is served in the end. */
import { once } from 'node:events'
import { connect } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { ComputingShare } from '../../src/ssh/computing-share.ts'
import { DEAR_KEX, KEX_ALGORITHMS } from '../../src/ssh/kex/algorithms.ts'
import { LoginExchanges } from '../../src/ssh/login-exchanges.ts'
import { exchange, frame, kexInit, kexinit, MESSAGE } from './kex/raw-client.ts'
import { connectPeer, Message, packet } from './peer.ts'
import { program, ssh, startServer, type TestServer } from './support.ts'

const QUICK = 'curve25519-sha256'
const DEAR = 'ecdh-sha2-nistp521'
const SHARE = kexInit(Buffer.alloc(32, 9))

afterEach(() => {
  vi.useRealTimers()
  vi.restoreAllMocks()
})

describe('the share', () => {
  let now = 0
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setImmediate', 'clearImmediate'] })
    now = 0
    vi.spyOn(performance, 'now').mockImplementation(() => now)
  })

  /** How many of `cost` ms are done after `time` ms, where there are always some waiting. */
  function flood(kex: string, cost: number, time: number): number {
    const exchanges = new LoginExchanges()
    let done = 0
    const again = () => {
      now += cost
      done++
      setTimeout(() => exchanges.take(kex, again), 0)
    }
    for (let i = 0; i < 9; i++) exchanges.take(kex, again)
    while (now < time) {
      now += 1
      vi.advanceTimersByTime(1)
    }
    return done
  }

  test.each([
    ['is two fifths of the time', QUICK, 3, 0.4],
    ['is a tenth for the dear ones', DEAR, 15, 0.1],
  ])('%s', (_what, kex, cost, share) => {
    const done = flood(kex, cost, 60_000)
    expect(done * cost).toBeGreaterThan(60_000 * share * 0.9)
    expect(done * cost).toBeLessThan(60_000 * share + 200 + cost)
  })

  test('who comes first is first, and one at a time: others of the process have a turn in between', () => {
    const exchanges = new LoginExchanges()
    const order: number[] = []
    for (let i = 0; i < 4; i++) exchanges.take(QUICK, () => order.push(i))
    expect(order).toEqual([0])
    vi.advanceTimersToNextTimer()
    expect(order).toEqual([0, 1])
    vi.runAllTimers()
    expect(order).toEqual([0, 1, 2, 3])
  })

  test('who has gone is passed over, and one that throws stops nobody', () => {
    const exchanges = new LoginExchanges()
    const done: string[] = []
    const broken = () => {
      throw new Error('no key')
    }
    expect(() => exchanges.take(QUICK, broken)).toThrow('no key')
    const leave = exchanges.take(QUICK, () => done.push('gone'))
    exchanges.take(QUICK, () => done.push('here'))
    leave()
    leave()
    vi.runAllTimers()
    expect(done).toEqual(['here'])
  })

  test('the dear ones do not keep the quick ones waiting', () => {
    const exchanges = new LoginExchanges()
    for (let i = 0; i < 100; i++) exchanges.take(DEAR, () => (now += 15))
    const compute = vi.fn()
    exchanges.take(QUICK, compute)
    expect(compute).toHaveBeenCalledOnce()
  })
})

test('the dear ones are among those that are offered', () => {
  expect(KEX_ALGORITHMS).toEqual(expect.arrayContaining([...DEAR_KEX]))
})

describe('a server whose share is spent', () => {
  const REST_MS = 400
  let server: TestServer
  beforeEach(async () => {
    server = await startServer({ session: program(async () => ({ code: 0 })) })
    const { spend } = ComputingShare.prototype
    let isFirst = true
    vi.spyOn(ComputingShare.prototype, 'spend').mockImplementation(function (this: ComputingShare, cost, now) {
      if (!isFirst) return spend.call(this, cost, now)
      isFirst = false
      return REST_MS
    })
  })
  afterEach(() => server.close())

  const spent = () => exchange(server.port, { kex: [QUICK], send: [SHARE] })

  test('answers a stranger late, and those who are in at once', async () => {
    const inside = await connectPeer(server, { algorithms: { kex: [QUICK] } })
    const began = performance.now()
    let isAnswered = false
    const late = exchange(server.port, { kex: [QUICK], send: [SHARE] }).finally(() => {
      isAnswered = true
    })
    inside.send(packet(Message.PING, 'echo'))
    await inside.next(Message.PONG)
    expect(isAnswered).toBe(false)
    expect((await late).map(([type]) => type)).toEqual([MESSAGE.KEXINIT, MESSAGE.KEX_REPLY, MESSAGE.NEWKEYS])
    expect(performance.now() - began).toBeGreaterThan(REST_MS / 2)
    inside.close()
  })

  test('lets a client in that had to wait, whatever it said meanwhile', async () => {
    await spent()
    expect((await ssh(server, ['true'])).code).toBe(0)
  })

  test('reads what came behind the share in its order', async () => {
    await spent()
    // NEWKEYS, and then no packet: it is told after the answer.
    const behind = [SHARE, Buffer.of(MESSAGE.NEWKEYS)].map(frame)
    const socket = connect(server.port, '127.0.0.1')
    socket.write(
      Buffer.concat([Buffer.from('SSH-2.0-x\r\n'), frame(kexinit([QUICK])), ...behind, Buffer.alloc(200, 0xff)]),
    )
    await once(socket.resume(), 'close')
    await expect.poll(() => server.events.filter(({ type }) => type === 'disconnect').length).toBe(2)
    expect(server.events.filter(({ type }) => type === 'fault')).toEqual([])
    expect(server.events.at(-1)).toMatchObject({
      type: 'disconnect',
      reason: expect.stringMatching(/^Bad packet length/),
    })
  })

  test('computes nothing for a client that went while it waited', async () => {
    await spent()
    const socket = connect(server.port, '127.0.0.1')
    socket.write(Buffer.concat([Buffer.from('SSH-2.0-x\r\n'), frame(kexinit([QUICK])), frame(SHARE)]))
    await delay(50)
    server.server.disconnectAll('going')
    const [last] = await once(socket.resume(), 'close')
    expect(last).toBe(false)
    await delay(REST_MS)
    expect(ComputingShare.prototype.spend).toHaveBeenCalledTimes(1)
  })
})
