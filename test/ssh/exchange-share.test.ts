/** Key exchanges that a client asks for: what they may cost, and that the transport keeps to it. */
import { afterEach, expect, test, vi } from 'vitest'
import { ExchangeShare } from '../../src/ssh/exchange-share.ts'
import { connectPeer, Message, type Peer, packet } from './peer.ts'
import { startServer, type TestServer } from './support.ts'

let server: TestServer | undefined
let peer: Peer | undefined

afterEach(async () => {
  vi.restoreAllMocks()
  peer?.close()
  await server?.close()
})

test('the first second is free, then a tenth of the time, however one asks', () => {
  for (const cost of [1, 3, 100]) {
    const share = new ExchangeShare()
    let [now, spent] = [0, 0]
    while (now < 60_000) {
      const rest = share.spend(cost, now)
      spent += cost
      if (spent <= 1000) expect(rest).toBe(0)
      now += cost + rest
    }
    expect(spent).toBeGreaterThan(6000)
    expect(spent).toBeLessThan(1000 + 6000 + 2 * cost + 700)
  }
})

test('one now and then costs no wait; a machine that stood still costs a short one', () => {
  const share = new ExchangeShare()
  for (let now = 0; now < 100_000; now += 1000) expect(share.spend(100, now)).toBe(0)
  expect(new ExchangeShare().spend(3_600_000, 0)).toBe(0)
})

test('a client whose share is spent is not heard until it has rested', async () => {
  server = await startServer()
  const connected = await connectPeer(server)
  peer = connected
  const spend = vi.spyOn(ExchangeShare.prototype, 'spend').mockReturnValueOnce(1000)
  connected.rekey()
  await expect.poll(() => spend.mock.calls.length).toBe(1)
  const other = await connectPeer(server)
  other.close()
  expect(spend.mock.calls.length).toBe(1)
  // And then it is, to the end of the exchange.
  let exchanged = false
  connected.client.once('handshake', () => {
    exchanged = true
  })
  await expect.poll(() => exchanged, { timeout: 10_000 }).toBe(true)
  connected.send(packet(Message.PING, 'still there'))
  expect((await connected.next(Message.PONG)).reader.text()).toBe('still there')
})
