/** An OpenSSH client's KEXINIT goes before ours, and ours goes all the same. */
import { once } from 'node:events'
import { connect } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { afterEach, expect, test } from 'vitest'
import { clientFirst } from '../../src/ssh/kexinit-order.ts'
import { Message } from '../../src/ssh/packets.ts'
import { startServer, type TestServer } from './support.ts'

let server: TestServer | undefined

afterEach(async () => {
  await server?.close()
  server = undefined
})

function listener() {
  const heard: string[] = []
  return { heard, hear: clientFirst((chunk) => heard.push(chunk.toString())) }
}

test('what OpenSSH says first is heard with what it says next', () => {
  const { heard, hear } = listener()
  const lent = Buffer.from('SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n')
  hear(lent)
  expect(heard).toEqual([])
  lent.fill(0)
  hear(Buffer.from('kexinit'))
  hear(Buffer.from('more'))
  expect(heard).toEqual(['SSH-2.0-OpenSSH_9.2p1 Debian-2\r\nkexinit', 'more'])
})

test('and alone where it says nothing more', async () => {
  const { heard, hear } = listener()
  hear(Buffer.from('SSH-2.0-OpenSSH_9.2p1\r\n'))
  await delay(200)
  hear(Buffer.from('late'))
  expect(heard).toEqual(['SSH-2.0-OpenSSH_9.2p1\r\n', 'late'])
})

test.each(['SSH-2.0-Go\r\n', 'SSH-2.0-OpenSSH_9.2p1\r\nkexinit', 'SSH-2.0-Ope'])('%j is heard at once', (text) => {
  const { heard, hear } = listener()
  hear(Buffer.from(text))
  hear(Buffer.from('x'))
  expect(heard).toEqual([text, 'x'])
})

test('a client that waits for our KEXINIT gets it', async () => {
  server = await startServer()
  const socket = connect(server.port, '127.0.0.1')
  socket.write('SSH-2.0-OpenSSH_9.2p1\r\n')
  let said = Buffer.alloc(0)
  socket.on('data', (chunk) => {
    said = Buffer.concat([said, chunk])
  })
  const packetType = () => said[said.indexOf('\n') + 6]
  while (said.length < 100) await once(socket, 'data')
  expect(packetType()).toBe(Message.KEXINIT)
  socket.destroy()
})
