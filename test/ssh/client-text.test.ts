/** What a client says, as it stands in events. */
import { afterEach, expect, test } from 'vitest'
import { connectPeer, HIDE_CHANNELS, Message, type Peer, packet } from './peer.ts'
import { startServer, type TestServer } from './support.ts'

const LONG = `\u009b\u202e${'x'.repeat(100_000)}`
const SHOWN = `\\x9b\\u202e${'x'.repeat(198)}...`

let server: TestServer
let peer: Peer | undefined
afterEach(async () => {
  peer?.close()
  await server.close()
})

test('the words of a disconnect are cut and printable', async () => {
  server = await startServer()
  peer = await connectPeer(server, { hide: HIDE_CHANNELS })
  peer.send(packet(Message.DISCONNECT, 2, LONG, ''))
  await expect.poll(() => server.events.at(-1)).toMatchObject({ type: 'disconnect', reason: `client: ${SHOWN}` })
})

test('so are the name of a user and of a method', async () => {
  server = await startServer()
  peer = await connectPeer(server, { authenticate: false, hide: [Message.USERAUTH_FAILURE] })
  const user = `\u009b\u202e${'x'.repeat(1000)}`
  peer.send(packet(Message.USERAUTH_REQUEST, user, 'ssh-connection', 'none'))
  peer.send(packet(Message.USERAUTH_REQUEST, user, 'ssh-connection', LONG.slice(0, 50_000)))
  await expect
    .poll(() => server.events.find(({ type }) => type === 'auth'))
    .toMatchObject({ context: { user: SHOWN }, method: SHOWN })
})
