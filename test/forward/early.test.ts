/** -R, where somebody inside connects in the same moment as it begins to listen: both come in one read. */
import { PassThrough } from 'node:stream'
import { pino } from 'pino'
import { expect, test } from 'vitest'
import { StreamEnd } from '../../src/bytes/end-stream.ts'
import type { End } from '../../src/bytes/relay.ts'
import { remoteForwards } from '../../src/forward/remote.ts'
import { FRAME_TYPE, frame } from '../../src/guest/frames.ts'
import type { ForwardBind } from '../../src/ssh/connection.ts'
import { FakeHelper, u32 } from '../guest/fake-helper.ts'
import { NO_BOOK } from '../support/book.ts'
import { annas } from '../support/people-and-places.ts'

const CREDIT = 256 * 1024
const PEER = Buffer.from('10.0.0.9')

type Dependencies = Parameters<typeof remoteForwards>[0]

async function world(openForwarded: (bind: ForwardBind) => Promise<End>) {
  const helper = new FakeHelper()
  const guest = await helper.connect()
  const connection = { closed: new AbortController().signal, openForwarded }
  const handlers = remoteForwards({
    connection: connection as unknown as Dependencies['connection'],
    log: pino({ enabled: false }),
    whose: annas,
    emit: () => {},
    enter: async () => ({ target: { container: {}, info: {} } }) as Awaited<ReturnType<Dependencies['enter']>>,
    again: () => Promise.reject(new Error('not in these tests')),
    binds: { gatewayPorts: 'no', streamLocalBindUnlink: false, streamLocalBindMask: 0o177 },
    guestFor: async () => guest,
    hold: () => () => {},
    book: NO_BOOK,
  })
  return { helper, guest, handlers }
}

function openedAndAccepted(listener: number, port: number): Buffer {
  const accept = Buffer.concat([u32(listener, CREDIT), Buffer.from([0, 99]), u32(PEER.length), PEER])
  return Buffer.concat([frame(FRAME_TYPE.OPENED, listener, u32(port, 0)), frame(FRAME_TYPE.ACCEPT, 0x80000001, accept)])
}

test('the connection goes to the client, behind the answer that tells it the port; the helper lives', async () => {
  const order: string[] = []
  const { helper, guest, handlers } = await world(async (bind) => {
    order.push(`open ${bind.kind === 'tcp' && bind.port}`)
    const channel = new PassThrough()
    channel.end('from the client')
    return new StreamEnd(channel)
  })
  const forwarding = handlers.forward({ kind: 'tcp', host: 'localhost', port: 0 })
  const { channel } = await helper.frame(FRAME_TYPE.LISTEN)
  helper.raw(openedAndAccepted(channel, 4000))
  // What the SSH layer makes of it: an answer, some promises later.
  await forwarding.then((port) => port).then((port) => order.push(`answer ${port}`))
  await helper.frame(FRAME_TYPE.EOF, 0x80000001)
  expect(order).toEqual(['answer 4000', 'open 4000'])
  expect(helper.bytesReceived(0x80000001)).toBe('from the client'.length)
  expect(guest.ended.aborted).toBe(false)
  guest.close()
})

test('a client that does not take it costs that connection, not the helper', async () => {
  const { helper, guest, handlers } = await world(() => {
    throw new Error('a fault of ours')
  })
  const forwarding = handlers.forward({ kind: 'tcp', host: 'localhost', port: 4000 })
  const { channel } = await helper.frame(FRAME_TYPE.LISTEN)
  helper.raw(openedAndAccepted(channel, 4000))
  expect(await forwarding).toBe(4000)
  await helper.frame(FRAME_TYPE.CLOSE, 0x80000001)
  expect(guest.ended.aborted).toBe(false)
  guest.close()
})

test('a client that takes what is gone by then gets its end', async () => {
  const channel = new PassThrough()
  let take: () => void = () => {}
  const taken = new Promise<End>((resolve) => {
    take = () => resolve(new StreamEnd(channel))
  })
  const { helper, guest, handlers } = await world(() => taken)
  const forwarding = handlers.forward({ kind: 'tcp', host: 'localhost', port: 4000 })
  const listen = await helper.frame(FRAME_TYPE.LISTEN)
  helper.raw(openedAndAccepted(listen.channel, 4000))
  await forwarding
  helper.send(FRAME_TYPE.CLOSED, 0x80000001)
  await new Promise(setImmediate)
  take()
  await expect.poll(() => channel.destroyed).toBe(true)
  guest.close()
})
