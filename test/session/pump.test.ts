import { setImmediate as turn } from 'node:timers/promises'
import { afterEach, expect, test } from 'vitest'
import { deferred } from '../../src/lifetime/deferred.ts'
import { pump } from '../../src/session/pump.ts'
import type { SshSession } from '../../src/ssh/session.ts'
import { connectPeer, fields, HIDE_CHANNELS, Message, openSession } from '../ssh/peer.ts'
import { startServer, type TestServer } from '../ssh/support.ts'
import { fakeExec } from '../support/fake-exec.ts'

let server: TestServer | undefined
afterEach(async () => await server?.close())

/** A session whose program starts when the test says so. */
async function starting() {
  const { exec, signals } = fakeExec()
  const sizes: number[] = []
  const started = deferred()
  const session = deferred<SshSession>()
  server = await startServer({
    session: async (it) => {
      it.accept()
      session.resolve(it)
      const start = async () => {
        await started.promise
        return { ...exec, resize: ({ cols }: { cols: number }) => void sizes.push(cols) }
      }
      await pump(it, start, { addIn() {}, addOut() {} })
    },
  })
  const peer = await connectPeer(server, { hide: HIDE_CHANNELS })
  const channel = await openSession(peer)
  channel.request('shell', false)
  await session.promise
  return { peer, channel, signals, sizes, started }
}

test('before the program runs, each signal is kept once, and the last size', async () => {
  const { peer, channel, signals, sizes, started } = await starting()
  for (let i = 1; i <= 200; i++) channel.request('window-change', false, fields(i, 24, 0, 0))
  for (let i = 0; i < 5000; i++) channel.request('signal', false, fields(i % 2 === 0 ? 'USR1' : 'USR2'))
  for (let i = 0; i < 100; i++) channel.request('signal', false, fields(`RT${i}`))
  channel.request('signal', true, fields('RT99'))
  await peer.next(Message.CHANNEL_FAILURE)
  channel.request('signal', true, fields('USR1'))
  await peer.next(Message.CHANNEL_SUCCESS)
  started.resolve()
  await turn()
  expect(sizes).toEqual([200])
  expect(signals).toHaveLength(16)
  expect(signals.slice(0, 2)).toEqual(['USR1', 'USR2'])
  peer.close()
})
