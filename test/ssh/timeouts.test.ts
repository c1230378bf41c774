/** ChannelTimeout and UnusedConnectionTimeout, with the real client. What sshd itself does: test/e2e/limits.test.ts. */
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { PassThrough } from 'node:stream'
import { afterEach, expect, test } from 'vitest'
import { StreamEnd } from '../../src/bytes/end-stream.ts'
import type { SshLimits } from '../../src/ssh/limits.ts'
import type { SshSession } from '../../src/ssh/session.ts'
import { connectPeer, HIDE_CHANNELS, Message, openSession } from './peer.ts'
import { echoSession, program, run, ssh, start, startServer, type TestServer } from './support.ts'

let server: TestServer
const closers: (() => void)[] = []

afterEach(async () => {
  for (const close of closers.splice(0)) close()
  await server?.close()
})

const pause = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds))
const timeouts = (...texts: string[]): Pick<SshLimits, 'channelTimeout'> => ({
  channelTimeout: texts.map((text) => {
    const [pattern = '', milliseconds] = text.split('=')
    return { pattern, milliseconds: Number(milliseconds) }
  }),
})
const expired = () => server.events.filter((event) => event.type === 'channel-timeout')

/** Never ends by itself; tells when it was closed. */
function silent(closed: (how: string) => void) {
  return (session: SshSession) => {
    session.accept()
    session.stdin.resume()
    session.closed.addEventListener('abort', () => closed('closed'))
  }
}

test.each(['session:command', 'session:*', 'session', '*'])(
  '%s: a command that says nothing is closed',
  async (pattern) => {
    const ends: string[] = []
    server = await startServer({ session: silent((how) => ends.push(how)), limits: timeouts(`${pattern}=500`) })
    const { code, stdout, stderr } = await ssh(server, ['wait'])
    expect([code, stdout.toString(), stderr.toString()]).toEqual([255, '', ''])
    expect(ends).toEqual(['closed'])
    expect(expired()).toEqual([expect.objectContaining({ channel: 'session:command', milliseconds: 500 })])
  },
)

test('a session of another kind is not concerned, and the first pattern that fits counts', async () => {
  server = await startServer({
    session: program(async () => {
      await pause(1500)
      return { code: 7 }
    }),
    limits: timeouts('session:shell=300', 'session:command=none', 'session:*=300', 'direct-tcpip=300'),
  })
  expect((await ssh(server, ['wait'])).code).toBe(7)
  expect(expired()).toEqual([])
})

test('output keeps a channel open, and so does input', async () => {
  server = await startServer({
    session: async (session) => {
      if (session.start.kind === 'exec') return echoSession(session)
      session.accept()
      for (let i = 0; i < 8; i++) {
        session.write(1, Buffer.from('.'))
        await pause(250)
      }
      await session.exit({ code: 0 })
    },
    limits: timeouts('session=1000'),
  })
  const output = ssh(server, [])
  const child = start('ssh', [...server.options, '127.0.0.1', 'cat'])
  for (let i = 0; i < 8; i++) {
    child.stdin?.write('.')
    await pause(250)
  }
  child.stdin?.end()
  expect((await once(child, 'exit'))[0]).toBe(0)
  const { code, stdout } = await output
  expect([code, stdout.toString()]).toEqual([0, '........'])
})

/** `ssh -N -L`, and a connection through it. */
async function forwarded(): Promise<{ socket: Socket; child: ReturnType<typeof start> }> {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = probe.address() as AddressInfo
  probe.close()
  const child = start('ssh', ['-N', '-L', `127.0.0.1:${port}:inside:80`, ...server.options, '127.0.0.1'])
  closers.push(() => child.kill('SIGKILL'))
  for (;;) {
    const socket = connect(port, '127.0.0.1')
    socket.on('error', () => {})
    closers.push(() => socket.destroy())
    const connected = await new Promise((resolve) => {
      socket.once('connect', () => resolve(true)).once('close', () => resolve(false))
    })
    if (connected) return { socket, child }
    await pause(100)
  }
}

test('direct-tcpip: a forward that carries nothing is closed at both ends, the connection stays', async () => {
  const inside = new PassThrough()
  server = await startServer({
    handlers: () => ({ direct: async () => new StreamEnd(inside) }),
    limits: timeouts('direct-tcpip=500'),
  })
  const { socket } = await forwarded()
  socket.write('hello')
  await once(socket.resume(), 'close')
  expect(inside.destroyed).toBe(true)
  expect(expired()).toEqual([expect.objectContaining({ channel: 'direct-tcpip' })])
  expect(server.connections[0]?.closed.aborted).toBe(false)
})

test('global: traffic on one channel keeps the others, and then all are closed', async () => {
  const ends: string[] = []
  server = await startServer({ session: silent((how) => ends.push(how)), limits: timeouts('global=700') })
  const peer = await connectPeer(server, { hide: HIDE_CHANNELS })
  const [busy, idle] = [await openSession(peer, { local: 1 }), await openSession(peer, { local: 2 })]
  for (const channel of [busy, idle]) channel.request('shell', true)
  for (let i = 0; i < 6; i++) {
    busy.data(Buffer.from('x'))
    await pause(250)
  }
  expect(expired()).toEqual([])
  await expect.poll(() => ends, { timeout: 3000 }).toEqual(['closed', 'closed'])
  expect(expired()).toEqual([expect.objectContaining({ channel: 'global' })])
  peer.close()
})

test('a client that does not answer our CLOSE keeps nothing running', async () => {
  const ends: string[] = []
  server = await startServer({ session: silent((how) => ends.push(how)), limits: timeouts('session:shell=300') })
  const peer = await connectPeer(server, { hide: HIDE_CHANNELS })
  const channel = await openSession(peer)
  channel.request('shell', true)
  await peer.next(Message.CHANNEL_CLOSE)
  expect(ends).toEqual(['closed'])
  peer.close()
})

test('UnusedConnectionTimeout: a connection without a channel is closed, and told why', async () => {
  server = await startServer({ limits: { unusedConnectionTimeout: 500 } })
  const { code, stderr } = await ssh(server, [], { first: ['-N'] })
  expect(code).toBe(255)
  expect(stderr.toString()).toContain('no channel was open for 500 milliseconds')
})

test('UnusedConnectionTimeout: a session keeps the connection, and its end starts the time', async () => {
  server = await startServer({
    session: program(async () => {
      await pause(1500)
      return { code: 7 }
    }),
    limits: { unusedConnectionTimeout: 500 },
  })
  expect((await ssh(server, ['wait'])).code).toBe(7)
  const control = `${server.folder.path}/control`
  const master = run('ssh', [...['-M', '-S', control, '-N'], ...server.options, '127.0.0.1'])
  await expect
    .poll(async () => (await ssh(server, ['wait'], { first: ['-S', control] })).code, { timeout: 10_000 })
    .toBe(7)
  expect((await master).code).toBe(255)
})

test('UnusedConnectionTimeout: listening for -R is no use of it', async () => {
  server = await startServer({
    handlers: () => ({ forward: async () => 4000, cancelForward: async () => true }),
    limits: { unusedConnectionTimeout: 500 },
  })
  expect((await ssh(server, [], { first: ['-N', '-R', '4000:127.0.0.1:1'] })).code).toBe(255)
})
