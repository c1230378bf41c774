import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { afterEach, describe, expect } from 'vitest'
import { type Channel, type Client, type Frame, T, text, u32 } from './client.ts'
import { suite } from './suite.ts'

const TOKEN = Buffer.from('0123456789abcdef')

suite('switch', ({ run, start, scratch }) => {
  let server: Server | undefined
  let path = ''
  afterEach(() => server?.close())

  /** The socket, with the token taken off it. */
  async function switched(client: Client): Promise<Socket> {
    path = join(scratch(), 'gateway.sock')
    const listening = createServer().listen(path)
    server = listening
    await once(listening, 'listening')
    const connection = once(listening, 'connection')
    client.send(T.SWITCH, 0, Buffer.concat([TOKEN, text(path)]))
    const [socket] = (await connection) as [Socket]
    // The helper may be killed at the test's end with bytes unread.
    socket.on('error', () => {})
    expect((await client.connection(T.SWITCHED)).payload.readUInt32BE(0)).toBe(0)
    let token: Buffer | null = null
    while (!token) {
      token = socket.read(16) as Buffer | null
      if (!token) await once(socket, 'readable')
    }
    expect(token.equals(TOKEN)).toBe(true)
    client.listen(socket)
    client.output = socket
    return socket
  }

  run('frames move to the socket, PINGs on the exec are answered there', async () => {
    const client = await start()
    const exec = client.output
    await switched(client)
    const channel = await client.sh('echo over the socket').closed()
    expect(channel.out.toString()).toBe('over the socket\n')
    await client.ping(1n)
    client.output = exec
    await client.ping(2n)
  })

  run('bulk goes on by itself: nothing but the reader wakes the helper', async () => {
    let bytes = 0
    const onFrame = ({ type, payload }: Frame) => {
      if (type === T.DATA) bytes += payload.length
      return type === T.DATA
    }
    const client = await start({ onFrame })
    await switched(client)
    for (let i = 1; i <= 4; i++) {
      await client.sh('head -c 64000000 /dev/zero').closed()
      expect(bytes).toBe(i * 64_000_000)
    }
  })

  for (const way of ['exec', 'socket']) {
    run(`PING on the ${way} renews the lease`, async () => {
      const client = await start({ init: { lease: 600 } })
      client.keepAlive(150)
      const exec = client.output
      const socket = await switched(client)
      client.output = way === 'exec' ? exec : socket
      await new Promise((resolve) => setTimeout(resolve, 1500))
      expect(client.code).toBeUndefined()
      client.output = socket
    })
  }

  run('the end of either line is the end', async () => {
    const byExec = await start()
    await switched(byExec)
    byExec.process.stdin?.end()
    expect(await byExec.exited()).toBe(0)
    const bySocket = await start()
    ;(await switched(bySocket)).destroy()
    expect(await bySocket.exited()).toBe(0)
  })

  run('anything but PING on the exec afterwards is malformed', async () => {
    const client = await start()
    const exec = client.output
    await switched(client)
    client.output = exec
    client.sh('true')
    expect(await client.exited()).toBe(3)
  })

  run('what cannot be reached says why, and frames stay', async () => {
    const client = await start()
    const attempt = async (path: string) => {
      const before = client.frames.length
      client.send(T.SWITCH, 0, Buffer.concat([TOKEN, text(path)]))
      const frame = await client.until(
        () => client.frames.slice(before).find((f) => f.type === T.SWITCHED),
        'SWITCHED',
        5000,
      )
      return frame.payload.readUInt32BE(0)
    }
    expect(await attempt('/no/such')).toBe(2)
    expect(await attempt(`/${'x'.repeat(200)}`)).toBe(36)
    expect((await client.sh('echo still').closed()).out.toString()).toBe('still\n')
  })

  run('it may come while channels are busy: nothing is lost, doubled or out of order', async () => {
    const client = await start()
    const bulk = client.sh('seq 200000')
    const quiet = client.spawn(['cat'])
    await quiet.wait(T.OPENED)
    await bulk.wait(T.DATA)
    await switched(client)
    quiet.data('over the socket')
    quiet.eof()
    await Promise.all([quiet.closed(), bulk.closed(20_000)])
    expect(quiet.out.toString()).toBe('over the socket')
    const lines = bulk.out.toString().trimEnd().split('\n')
    expect(lines.length).toBe(200_000)
    expect(lines.every((line, i) => Number(line) === i + 1)).toBe(true)
  })

  describe('an SFTP server that is offered a line of its own', () => {
    const VERSION = Buffer.from([0, 0, 0, 5, 1, 0, 0, 0, 3])
    const sftp = (client: Client, token?: Buffer) =>
      client.open(T.SFTP, Buffer.concat([u32(token ? 2 : 0), u32(1 << 20), token ?? Buffer.alloc(0), text('/')]))
    const credit = async (channel: Channel) => (await channel.wait(T.OPENED)).payload.readUInt32BE(4)

    /** What comes until the other end's. */
    async function all(socket: Socket): Promise<Buffer> {
      const pieces: Buffer[] = []
      for await (const piece of socket) pieces.push(piece as Buffer)
      return Buffer.concat(pieces)
    }

    run('takes it, by a name that is gone: bytes there, log and end in frames', async () => {
      const client = await start()
      await switched(client)
      rmSync(path)
      const token = Buffer.from('fedcba9876543210')
      const connection = once(server as Server, 'connection')
      const channel = sftp(client, token)
      const [socket] = (await connection) as [Socket]
      socket.write(VERSION)
      expect(await credit(channel)).toBe(0)
      socket.end()
      const came = await all(socket)
      expect([came.subarray(0, 16).equals(token), came[20]]).toEqual([true, 2])
      await channel.closed()
      expect(channel.frames.map(({ type }) => type).sort()).toEqual([T.OPENED, T.EOF2, T.EXIT, T.CLOSED].sort())
      expect([...(await channel.exit())]).toEqual([0, 0, 0])
    })

    run('is ended by CLOSE, and its line with it', async () => {
      const client = await start()
      await switched(client)
      const connection = once(server as Server, 'connection')
      const channel = sftp(client, TOKEN)
      const [socket] = (await connection) as [Socket]
      expect(await credit(channel)).toBe(0)
      channel.close(2)
      await channel.closed()
      expect((await all(socket)).length).toBe(16)
    })

    run('has pipes where nobody listens, or before SWITCH', async () => {
      const client = await start()
      const before = sftp(client, TOKEN)
      expect(await credit(before)).toBe(256 * 1024)
      await switched(client)
      server?.close()
      const after = sftp(client, TOKEN)
      expect(await credit(after)).toBe(256 * 1024)
      for (const channel of [before, after]) {
        channel.data(VERSION)
        await client.until(() => channel.out[4] === 2, 'VERSION', 5000)
        channel.eof()
        await channel.closed()
        expect([...(await channel.exit())]).toEqual([0, 0, 0])
      }
    })

    run('gets no DATA: that is malformed', async () => {
      const client = await start()
      await switched(client)
      const channel = sftp(client, TOKEN)
      expect(await credit(channel)).toBe(0)
      channel.data('x')
      expect(await client.exited()).toBe(3)
    })
  })

  run('a gateway that does not accept is waited for, not for ever', async () => {
    const client = await start()
    const path = join(scratch(), 'full.sock')
    const owner = client.spawn([
      'python3',
      '-c',
      `import socket,time\ns=socket.socket(socket.AF_UNIX)\ns.bind("${path}")\ns.listen(0)\nc=socket.socket(socket.AF_UNIX)\nc.connect("${path}")\nprint("full",flush=True)\ntime.sleep(60)`,
    ])
    await owner.waitText('full', 10_000)
    const channel = client.connectUnix(path)
    await client.ping(1n)
    expect(channel.frames).toEqual([])
    await channel.closed(10_000)
    expect(channel.failed).toEqual({ errno: 11, stage: 4 })
    owner.close()
  })
})
