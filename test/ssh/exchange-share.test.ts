/** Key exchanges that a client asks for: what they may cost, and that the transport keeps to it. */
import { afterEach, expect, test, vi } from 'vitest'
import { ExchangeShare } from '../../src/ssh/exchange-share.ts'
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

test.each([
  [1, 'in pieces'],
  [3, 'in one piece'],
  [100, 'in pieces'],
])('the first second is free, then a tenth of the time: of %i ms, %s', (cost, how) => {
  vi.useFakeTimers()
  const share = new ExchangeShare(() => {})
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
  const share = new ExchangeShare(() => {})
  for (let now = 0; now < 100_000; now += 1000) {
    share.asked()
    share.handled(100, now, false)
    expect(share.resting).toBe(false)
  }
  const still = new ExchangeShare(() => {})
  still.asked()
  still.handled(3_600_000, 0, false)
  expect(still.resting).toBe(false)
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
