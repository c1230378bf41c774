/**
 * An agent or a display of a connection whose helper went: nothing of it is kept for as long as the connection lives. One
 * that is withdrawn: nobody uses it any more.
 */
import { getEventListeners } from 'node:events'
import { pino } from 'pino'
import { expect, test } from 'vitest'
import type { Target } from '../../src/container/containers.ts'
import { createInward } from '../../src/forward/inward.ts'
import { FRAME_TYPE } from '../../src/guest/frames.ts'
import type { SshConnection } from '../../src/ssh/connection.ts'
import { FakeHelper, u32 } from '../guest/fake-helper.ts'
import { NO_BOOK } from '../support/book.ts'
import { FakeEnd } from '../support/fake-end.ts'
import { until } from '../support/wait.ts'

const TARGET = { container: { id: 'x', name: 'web' }, info: { name: 'dev', home: '/' } } as Target
const X11 = { singleConnection: false, protocol: 'none given', cookie: '', screen: 0 }

const KINDS = [
  ['agent', { env: new Map(), agentForwarding: true }, 'SSH_AUTH_SOCK='],
  ['x11', { env: new Map(), agentForwarding: false, x11: X11 }, 'DISPLAY='],
] as const

test.each(KINDS)('%s', async (kind, asked, variable) => {
  const closed = new AbortController()
  const inward = createInward({} as SshConnection<unknown>, closed.signal, NO_BOOK, pino({ enabled: false }))
  const held = new Set<string>()
  // As often as its user likes to kill it.
  for (let i = 0; i < 3; i++) {
    const helper = new FakeHelper()
    const guest = await helper.connect()
    const environment = inward.environment(asked, guest, [], TARGET, (action) => {
      held.add(action.kind)
      return () => held.delete(action.kind)
    })
    const { channel } = await helper.frame(FRAME_TYPE.LISTEN)
    helper.send(FRAME_TYPE.OPENED, channel, u32(6010, 0))
    expect(await environment).toEqual([expect.stringContaining(variable)])
    expect([...held]).toEqual([kind])
    helper.exits({ code: 137 })
    await until('it is let go', () => held.size === 0, 2000, 5)
    expect(getEventListeners(closed.signal, 'abort')).toEqual([])
  }
})

const ENDS = ['withdrawn', 'of a round that is over'] as const

test.each(KINDS.flatMap(([kind, asked]) => ENDS.map((how) => [kind, how, asked] as const)))(
  '%s that is %s is lost to those who use it',
  async (_kind, how, asked) => {
    const channels: FakeEnd[] = []
    const open = async () => {
      const channel = new FakeEnd()
      channels.push(channel)
      return channel
    }
    const closed = new AbortController()
    const connection = { openAgent: open, openX11: open } as Partial<SshConnection<unknown>>
    const inward = createInward(connection as SshConnection<unknown>, closed.signal, NO_BOOK, pino({ enabled: false }))
    const helper = new FakeHelper()
    const guest = await helper.connect()
    const held = new Set<() => void>()
    const environment = inward.environment(asked, guest, [], TARGET, (_action, end) => {
      held.add(end)
      return () => held.delete(end)
    })
    const { channel } = await helper.frame(FRAME_TYPE.LISTEN)
    helper.send(FRAME_TYPE.OPENED, channel, u32(6010, 0))
    await environment
    const [over, used, late] = [0x80000001, 0x80000002, 0x80000003]
    helper.accepts(over, channel)
    helper.accepts(used, channel)
    await until('the client has both', () => channels.length === 2, 2000, 5)
    // One that is over is no end of the others.
    helper.send(FRAME_TYPE.CLOSED, over)
    await until('the client knows', () => channels[0]?.done.includes('destroy'), 2000, 5)
    expect(held.size).toBe(1)

    if (how === 'withdrawn') for (const withdraw of held) withdraw()
    else closed.abort()
    // Accepted before the helper heard of it.
    helper.accepts(late, channel)
    await until('the client loses it', () => channels[1]?.done.includes('destroy'), 2000, 5)
    await helper.frame(FRAME_TYPE.CLOSE, used)
    await helper.frame(FRAME_TYPE.CLOSE, channel)
    helper.send(FRAME_TYPE.CLOSED, channel)
    await until('it is let go', () => held.size === 0, 2000, 5)
    guest.close()
  },
)

test.each(KINDS)(
  'a connection to %s that may not go on is closed, and its client hears nothing of it',
  async (_kind, asked) => {
    let opened = 0
    const open = async () => {
      opened++
      return new FakeEnd()
    }
    const closed = new AbortController()
    const connection = { openAgent: open, openX11: open } as Partial<SshConnection<unknown>>
    const book = {
      ...NO_BOOK,
      demand() {
        throw new Error('nothing may go unrecorded')
      },
    }
    const inward = createInward(connection as SshConnection<unknown>, closed.signal, book, pino({ enabled: false }))
    const helper = new FakeHelper()
    const guest = await helper.connect()
    const environment = inward.environment(asked, guest, [], TARGET, () => () => {})
    const { channel } = await helper.frame(FRAME_TYPE.LISTEN)
    helper.send(FRAME_TYPE.OPENED, channel, u32(6010, 0))
    await environment
    helper.accepts(0x80000001, channel)
    await helper.frame(FRAME_TYPE.CLOSE, 0x80000001)
    expect(opened).toBe(0)
    guest.close()
  },
)
