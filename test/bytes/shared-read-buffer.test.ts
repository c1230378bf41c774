/** Accepted connections read into one buffer, and as any socket with a node where that fails. */
import { once } from 'node:events'
import net from 'node:net'
import { afterEach, expect, test, vi } from 'vitest'
import { checkLending, isLent, lending, listening } from '../../src/bytes/shared-read-buffer.ts'

const open: { destroy(): unknown }[] = []
afterEach(async () => {
  vi.restoreAllMocks()
  for (const one of open.splice(0)) one.destroy()
  await checkLending()
})

async function connection(): Promise<{ accepted: net.Socket; client: net.Socket }> {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const client = net.connect(typeof address === 'object' ? (address?.port ?? 0) : 0, '127.0.0.1')
  const [accepted] = await once(server, 'connection')
  server.close()
  open.push(client, accepted)
  return { accepted, client }
}

/** What a stand-in for `accepted` heard of two writes, the second of which comes only after it was asked for. */
async function readTwice(): Promise<{ heard: string[]; lent: boolean[] }> {
  const { accepted, client } = await connection()
  const heard: string[] = []
  const lent: boolean[] = []
  const socket = lending(accepted, (chunk) => {
    heard.push(String(chunk))
    lent.push(isLent(chunk))
    return false
  })
  open.push(socket)
  client.write('one')
  await vi.waitFor(() => expect(heard).toEqual(['one']))
  client.write('two')
  await new Promise((resolve) => setTimeout(resolve, 50))
  expect(heard).toEqual(['one'])
  socket.resume()
  await vi.waitFor(() => expect(heard).toEqual(['one', 'two']))
  return { heard, lent }
}

test('this node lends its reads, and the check at the start sees it', async () => {
  expect(await checkLending()).toBe(true)
  expect(await readTwice()).toEqual({ heard: ['one', 'two'], lent: [true, true] })
  const { accepted } = await connection()
  const socket = listening(accepted, () => {})
  open.push(socket)
  expect(socket).not.toBe(accepted)
})

test.each([
  [
    'refuses the handle',
    () => {
      throw new TypeError('another inside')
    },
  ],
  [
    'knows no onread',
    (_: unknown, [{ handle }]: [{ handle: unknown }]) => Object.assign(new net.Socket(), { _handle: handle }),
  ],
])('with a node that %s connections read as any socket', async (_, construct) => {
  vi.spyOn(Reflect, 'construct').mockImplementation(construct as typeof Reflect.construct)
  expect(await checkLending()).toBe(false)
  expect(await readTwice()).toEqual({ heard: ['one', 'two'], lent: [false, false] })
  const { accepted, client } = await connection()
  const chunks: string[] = []
  expect(listening(accepted, (chunk) => chunks.push(String(chunk)))).toBe(accepted)
  client.write('plain')
  await vi.waitFor(() => expect(chunks).toEqual(['plain']))
})
