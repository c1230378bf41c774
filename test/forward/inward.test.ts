/** An agent or a display of a connection whose helper went: nothing of it is kept for as long as the connection lives. */
import { getEventListeners } from 'node:events'
import { pino } from 'pino'
import { expect, test } from 'vitest'
import { createInward } from '../../src/forward/inward.ts'
import { FRAME_TYPE } from '../../src/guest/frames.ts'
import type { SshConnection } from '../../src/ssh/connection.ts'
import { FakeHelper, u32 } from '../guest/fake-helper.ts'
import { until } from '../support/wait.ts'

const X11 = { singleConnection: false, protocol: 'none given', cookie: '', screen: 0 }

test.each([
  ['agent', { env: new Map(), agentForwarding: true }, 'SSH_AUTH_SOCK='],
  ['x11', { env: new Map(), agentForwarding: false, x11: X11 }, 'DISPLAY='],
] as const)('%s', async (kind, asked, variable) => {
  const closed = new AbortController()
  const inward = createInward({ closed: closed.signal } as SshConnection<unknown>, pino({ enabled: false }))
  const held = new Set<string>()
  // As often as its user likes to kill it.
  for (let i = 0; i < 3; i++) {
    const helper = new FakeHelper()
    const guest = await helper.connect()
    const environment = inward.environment(asked, guest, [], '/', (action) => {
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
