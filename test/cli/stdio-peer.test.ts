/** Whom `hatchway stdio` takes for its client. */
import { createConnection, createServer, type Socket } from 'node:net'
import { PassThrough } from 'node:stream'
import { expect, test } from 'vitest'
import { stdioEnds } from '../../src/cli/stdio-peer.ts'
import { matchesAddressList } from '../../src/net/address-list.ts'

const UNKNOWN = { address: 'UNKNOWN', port: 65535 }

test('a pipe with no word from sshd has no address, which no from= matches', () => {
  const { remote, local } = stdioEnds(new PassThrough() as object, undefined)
  expect([remote, local]).toEqual([UNKNOWN, UNKNOWN])
  for (const list of ['127.0.0.1', '127.0.0.0/8,::/0', '*', 'UNKNOWN', '!10.0.0.0/8,*']) {
    expect(matchesAddressList(remote.address, list)).toBe(false)
  }
})

test('SSH_CONNECTION names the client that sshd serves; what is no address there is nobody', () => {
  expect(stdioEnds({}, '192.0.2.7 4711 192.0.2.1 22')).toEqual({
    remote: { address: '192.0.2.7', port: 4711 },
    local: { address: '192.0.2.1', port: 22 },
  })
  for (const text of ['', '127.0.0.1', 'UNKNOWN 65535 UNKNOWN 65535', 'x 1 127.0.0.1 2']) {
    expect(stdioEnds({}, text).remote).toEqual(UNKNOWN)
  }
})

test('a socket on stdin has a peer, whatever the environment says', async () => {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as { port: number }
  const accepted = new Promise<Socket>((resolve) => server.once('connection', resolve))
  const client = createConnection(port, '127.0.0.1')
  const stdin = await accepted
  expect(stdioEnds(stdin, '192.0.2.7 4711 192.0.2.1 22')).toEqual({
    remote: { address: '127.0.0.1', port: client.localPort },
    local: { address: '127.0.0.1', port },
  })
  client.destroy()
  stdin.destroy()
  server.close()
})
