/** -L without the guest helper: a connection from the gateway to the container's own address. */
import { once } from 'node:events'
import { type AddressInfo, createServer, type Server } from 'node:net'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Container, Engine } from '../../src/engine/engine.ts'
import { connectFromOutside } from '../../src/forward/outside.ts'

const NEVER = new AbortController().signal
/** This machine's loopback, by an address that a container may have as its own. */
const ADDRESS = '::ffff:127.0.0.1'

let server: Server
let port: number
let accepted = 0
beforeAll(async () => {
  server = createServer((socket) => {
    accepted++
    socket.on('error', () => {}).end('hello')
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  port = (server.address() as AddressInfo).port
})
afterAll(() => server.close())

function open(to: number, signal = NEVER, info: () => Promise<unknown> = async () => ({ local: true })) {
  const container = { name: 'web', addresses: [ADDRESS] } as unknown as Container
  return connectFromOutside({ info } as unknown as Engine, container, { host: 'localhost', port: to }, signal)
}

test('reaches what listens on the address', async () => {
  const end = await open(port)
  const heard = await new Promise<string>((resolve) => {
    let text = ''
    end.listen({
      data: (bytes) => {
        text += bytes
        return true
      },
      ended: () => resolve(text),
      drained() {},
      finished() {},
      closed() {},
    })
    end.resume()
  })
  expect(heard).toBe('hello')
  end.destroy()
})

test('says that nothing listens, and that a loopback would be out of reach', async () => {
  const unused = createServer().listen(0, '127.0.0.1')
  await once(unused, 'listening')
  const { port: free } = unused.address() as AddressInfo
  unused.close()
  await expect(open(free)).rejects.toMatchObject({
    code: 'NOT_SUPPORTED',
    message: expect.stringContaining(`nothing listens on ${ADDRESS}:${free}`),
  })
})

test('who left while the engine was asked gets no connection', async () => {
  const client = new AbortController()
  const gone = new Error('the client went away')
  const before = accepted
  const opening = open(port, client.signal, async () => {
    client.abort(gone)
    return { local: true }
  })
  await expect(opening).rejects.toBe(gone)
  await new Promise((resolve) => server.getConnections(resolve))
  expect(accepted).toBe(before)
})
