/** Key exchanges that a client asks for: what they may cost, and that the transport keeps to it. */
import { once } from 'node:events'
import { afterEach, expect, test, vi } from 'vitest'
import { ComputingShare } from '../../src/ssh/computing-share.ts'
import { ExchangeShare, ExchangeShares } from '../../src/ssh/exchange-share.ts'
import { connectPeer, Message, type Peer, packet } from './peer.ts'
import { startServer, type TestServer } from './support.ts'

let server: TestServer | undefined
let peer: Peer | undefined

afterEach(async () => {
  vi.useRealTimers()
  vi.restoreAllMocks()
  peer?.close()
  await server?.close()
})

function shareOf(identity: string, shares = new ExchangeShares()): ExchangeShare {
  const share = new ExchangeShare(() => {})
  share.charge(shares.of(identity))
  return share
}

test.each([
  [1, 'in pieces'],
  [3, 'in one piece'],
  [100, 'in pieces'],
])('the first second is free, then a tenth of the time: of %i ms, %s', (cost, how) => {
  vi.useFakeTimers()
  const share = shareOf('alice')
  let [now, spent] = [0, 0]
  while (now < 60_000) {
    share.asked()
    share.handled(cost, now, how === 'in pieces')
    // What comes after its end is nothing of the share's.
    if (how === 'in one piece') share.handled(5000, now, false)
    spent += cost
    if (spent <= 1000) expect(share.resting).toBe(false)
    const rests = Date.now()
    while (share.resting) vi.advanceTimersToNextTimer()
    now += cost + Date.now() - rests
  }
  expect(spent).toBeGreaterThan(6000)
  expect(spent).toBeLessThan(1000 + 6000 + 2 * cost + 700)
})

test('one now and then costs no wait; a machine that stood still costs a short one', () => {
  const share = shareOf('alice')
  for (let now = 0; now < 100_000; now += 1000) {
    share.asked()
    share.handled(100, now, false)
    expect(share.resting).toBe(false)
  }
  const still = shareOf('bob')
  still.asked()
  still.handled(3_600_000, 0, false)
  expect(still.resting).toBe(false)
})

test('the connections of an identity have one share, and those that come later too; another identity has its own', () => {
  vi.useFakeTimers()
  const shares = new ExchangeShares()
  const one = shareOf('alice', shares)
  const rests = (share: ExchangeShare, cost: number) => {
    share.asked()
    share.handled(cost, 0, false)
    return share.resting
  }
  expect(rests(one, 600)).toBe(false)
  one.stop()
  expect(rests(shareOf('alice', shares), 600)).toBe(true)
  expect(rests(shareOf('bob', shares), 600)).toBe(false)
})

test('a server charges what the clients of an identity ask for to its one share', async () => {
  server = await startServer({ authenticator: { proved: (name) => ({ name, fingerprint: '' }) } })
  const charged = new Set<ComputingShare>()
  const of = vi.spyOn(ExchangeShares.prototype, 'of')
  const { spend } = ComputingShare.prototype
  vi.spyOn(ComputingShare.prototype, 'spend').mockImplementation(function (this: ComputingShare, cost, now) {
    charged.add(this)
    return spend.call(this, cost, now)
  })
  const peers = [await connectPeer(server), await connectPeer(server)]
  charged.clear()
  for (const each of peers) {
    const exchanged = once(each.client, 'handshake')
    each.rekey()
    await exchanged
    each.close()
  }
  expect(of.mock.calls).toEqual([['tester'], ['tester']])
  expect([...charged]).toEqual([of.mock.results[0]?.value])
})

test('a client whose share is spent is not heard until it has rested', async () => {
  server = await startServer()
  const connected = await connectPeer(server)
  peer = connected
  const { handled } = ExchangeShare.prototype
  let dear = true
  vi.spyOn(ExchangeShare.prototype, 'handled').mockImplementation(function (
    this: ExchangeShare,
    cost,
    now,
    exchanging,
  ) {
    if (!dear) return handled.call(this, cost, now, exchanging)
    for (const more of [1000, 100]) handled.call(this, more, now, exchanging)
    dear = !this.resting
  })
  let exchanged = false
  connected.client.once('handshake', () => {
    exchanged = true
  })
  connected.rekey()
  await expect.poll(() => dear).toBe(false)
  // Others are heard meanwhile.
  const other = await connectPeer(server)
  other.close()
  expect(exchanged).toBe(false)
  // And then it is, to the end of the exchange.
  await expect.poll(() => exchanged, { timeout: 10_000 }).toBe(true)
  connected.send(packet(Message.PING, 'still there'))
  expect((await connected.next(Message.PONG)).reader.text()).toBe('still there')
})
