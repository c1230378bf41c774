import { once } from 'node:events'
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { afterEach, expect } from 'vitest'
import { type Channel, type Client, T, u32 } from './client.ts'
import { descriptors, suite } from './suite.ts'

suite('sockets', ({ run, start, scratch }) => {
  const servers: Server[] = []
  const sockets: Socket[] = []
  afterEach(() => {
    for (const socket of sockets.splice(0)) socket.destroy()
    for (const server of servers.splice(0)) server.close()
  })
  async function serve(
    where: { port: number; host: string } | string,
    handler: (socket: Socket) => void,
  ): Promise<number> {
    const server = createServer({ allowHalfOpen: true }, (socket) => {
      sockets.push(socket)
      socket.on('error', () => {})
      handler(socket)
    })
    servers.push(server)
    server.listen(where as never)
    await once(server, 'listening')
    return typeof where === 'string' ? 0 : (server.address() as AddressInfo).port
  }
  const echo = (socket: Socket) => socket.pipe(socket)
  async function echoes(channel: Channel): Promise<void> {
    await channel.wait(T.OPENED)
    channel.data('ping')
    await channel.waitText('ping')
    channel.eof()
    await channel.closed()
    expect(channel.has(T.EOF)).toBeDefined()
    expect(channel.out.toString()).toBe('ping')
  }

  run('connects to 127.0.0.1, ::1, localhost and a unix socket', async () => {
    const client = await start()
    const path = join(scratch(), 's')
    await echoes(client.connect('127.0.0.1', await serve({ port: 0, host: '127.0.0.1' }, echo)))
    await echoes(client.connect('::1', await serve({ port: 0, host: '::1' }, echo)))
    await echoes(client.connect('localhost', await serve({ port: 0, host: '::1' }, echo)))
    await echoes(client.connect('LOCALHOST.', await serve({ port: 0, host: '127.0.0.1' }, echo)))
    await serve(path, echo)
    await echoes(client.connectUnix(path))
  })

  run('a refused connection says why', async () => {
    const client = await start()
    const server = createServer().listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    server.close()
    await once(server, 'close')
    const file = join(scratch(), 'file')
    writeFileSync(file, '')
    const failures = [
      client.connect('127.0.0.1', port),
      client.connect('localhost', port),
      client.connectUnix('/no/such/socket'),
      client.connectUnix(file),
      client.connectUnix(`/${'x'.repeat(120)}`),
      client.connectUnix(''),
    ]
    const codes = await Promise.all(failures.map(async (channel) => (await channel.closed()).failed))
    expect(codes).toEqual([111, 111, 2, 111, 36, 2].map((errno) => ({ errno, stage: 4 })))
  })

  run('half-closes pass through in both directions', async () => {
    const client = await start()
    const port = await serve({ port: 0, host: '127.0.0.1' }, (socket) => {
      let got = ''
      socket.on('data', (piece) => {
        got += piece
      })
      socket.on('end', () => socket.end(`got ${got}`))
    })
    const channel = client.connect('127.0.0.1', port)
    await channel.wait(T.OPENED)
    channel.data('all of it')
    channel.eof()
    await channel.closed()
    expect(channel.out.toString()).toBe('got all of it')
  })

  run('what was sent in full is taken in full, also when CLOSE is right behind', async () => {
    const client = await start()
    let finished = (_bytes: number) => {}
    const got = new Promise<number>((resolve) => {
      finished = resolve
    })
    const port = await serve({ port: 0, host: '127.0.0.1' }, (socket) => {
      let bytes = 0
      socket.on('end', () => finished(bytes))
      setTimeout(() => {
        socket.on('data', (piece) => {
          bytes += piece.length
        })
      }, 1000)
    })
    const channel = client.connect('127.0.0.1', port)
    await channel.wait(T.OPENED)
    // More than the kernel takes, so that the helper has to keep the rest: it grants only what went on.
    const granted = () =>
      channel.frames.reduce(
        (sum, { type, payload }) => (type === T.WINDOW ? sum + payload.readUInt32BE(0) : sum),
        256 * 1024,
      )
    let sent = 0
    for (let quiet = 0; quiet < 10; quiet++) {
      if (sent < granted()) quiet = 0
      for (; sent < granted(); sent += 65536) channel.data(Buffer.alloc(65536))
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
    channel.eof()
    channel.close()
    expect(await got).toBe(sent)
    await channel.closed()
  })

  run('EOF may follow CONNECT at once', async () => {
    const client = await start()
    const port = await serve({ port: 0, host: '127.0.0.1' }, (socket) => {
      socket.resume()
      socket.on('end', () => socket.end('heard the end'))
    })
    const channel = client.connect('127.0.0.1', port)
    channel.eof()
    await channel.closed()
    expect(channel.out.toString()).toBe('heard the end')
  })

  run('a reset is CLOSED', async () => {
    const client = await start()
    const port = await serve({ port: 0, host: '127.0.0.1' }, (socket) => {
      // Later than the connect, which it would else make fail.
      setTimeout(() => socket.resetAndDestroy(), 50)
    })
    const channel = client.connect('127.0.0.1', port)
    await channel.wait(T.OPENED)
    await channel.closed()
    expect(channel.frames.at(-1)?.type).toBe(T.CLOSED)
  })

  run('CLOSE closes the socket', async () => {
    const client = await start()
    const ended = new Promise<void>((resolve) => {
      void serve({ port: 0, host: '127.0.0.1' }, (socket) => {
        socket.resume()
        socket.on('end', resolve)
        socket.on('close', () => resolve())
      }).then((port) => {
        const channel = client.connect('127.0.0.1', port)
        void channel.wait(T.OPENED).then(() => channel.close())
      })
    })
    await ended
  })

  run('a peer that sends without end is held back by the credit', async () => {
    const client = await start()
    const port = await serve({ port: 0, host: '127.0.0.1' }, (socket) => {
      const more = () => {
        while (socket.write(Buffer.alloc(65536))) {}
      }
      socket.on('drain', more)
      more()
    })
    const channel = client.connect('127.0.0.1', port, 10_000)
    await client.until(() => channel.out.length === 10_000, '10000 bytes', 3000)
    await client.ping(1n)
    expect(channel.out.length).toBe(10_000)
    channel.window(5000)
    await client.until(() => channel.out.length === 15_000, '15000 bytes', 3000)
    channel.close()
    await channel.closed()
  })

  async function accepted(
    client: Client,
    listener: Channel,
  ): Promise<{ channel: Channel; port: number; address: string }> {
    const find = () => {
      for (const channel of client.channels.values()) {
        const accept = channel.has(T.ACCEPT)
        if (accept?.payload.readUInt32BE(0) === listener.id) return { channel, accept }
      }
      return undefined
    }
    const { channel, accept } = await client.until(find, 'ACCEPT', 5000)
    expect(accept.payload.readUInt32BE(4)).toBe(256 * 1024)
    return { channel, port: accept.payload.readUInt16BE(8), address: accept.payload.subarray(14).toString() }
  }

  for (const [host, address] of [
    ['127.0.0.1', '127.0.0.1'],
    ['::1', '::1'],
    ['localhost', '::1'],
    ['', '127.0.0.1'],
    ['0.0.0.0', '127.0.0.1'],
    ['::', '::1'],
  ] as const) {
    run(`listens on "${host}" with port 0, and gives what connects`, async () => {
      const client = await start()
      const listener = client.listenTcp(host, 0)
      const port = (await listener.wait(T.OPENED)).payload.readUInt32BE(0)
      expect(port).toBeGreaterThan(1023)
      const socket = connect(port, address)
      sockets.push(socket)
      await once(socket, 'connect')
      const given = await accepted(client, listener)
      expect([given.port, given.address]).toEqual([socket.localPort, address])
      socket.write('to gateway')
      await client.ping(1n)
      expect(given.channel.out.length).toBe(0) // no credit yet
      given.channel.window(100)
      await given.channel.waitText('to gateway')
      given.channel.data('to container')
      expect((await once(socket, 'data')).toString()).toBe('to container')
      socket.end()
      await given.channel.wait(T.EOF)
      given.channel.eof()
      await given.channel.closed()
      listener.close()
      await listener.closed()
      const late = connect(port, address)
      sockets.push(late)
      await once(late, 'error')
    })
  }

  run('a port that is taken, a privileged or foreign address are refused', async () => {
    const client = await start()
    const port = await serve({ port: 0, host: '127.0.0.1' }, echo)
    expect((await client.listenTcp('127.0.0.1', port).closed()).failed).toEqual({ errno: 98, stage: 5 })
    expect((await client.listenTcp('localhost', port).closed()).failed).toEqual({ errno: 98, stage: 5 })
    expect((await client.listenTcp('192.0.2.1', 0).closed()).failed).toEqual({ errno: 99, stage: 5 })
    expect((await client.listenTcp('a-name.example', 0).closed()).failed).toEqual({ errno: 99, stage: 5 })
  })

  run('a unix listener has the mode asked for and removes its socket', async () => {
    const client = await start()
    const path = join(scratch(), 'sock')
    const listener = client.listenUnix(path, 0o600)
    await listener.wait(T.OPENED)
    expect(statSync(path).mode & 0o777).toBe(0o600)
    const socket = connect(path)
    sockets.push(socket)
    const { channel, port, address } = await accepted(client, listener)
    expect([port, address]).toEqual([0, ''])
    channel.window(10)
    socket.write('x')
    await channel.waitText('x')
    expect((await client.listenUnix(path).closed()).failed).toEqual({ errno: 98, stage: 5 })
    listener.close()
    await listener.closed()
    expect(existsSync(path)).toBe(false)
  })

  run('unlink first replaces a socket, never a file', async () => {
    const client = await start()
    const folder = scratch()
    const file = join(folder, 'file')
    writeFileSync(file, 'precious')
    expect((await client.listenUnix(file, 0o600, 1).closed()).failed).toEqual({ errno: 98, stage: 5 })
    expect(readFileSync(file, 'utf8')).toBe('precious')
    const path = join(folder, 'sock')
    const first = client.listenUnix(path)
    await first.wait(T.OPENED)
    const second = client.listenUnix(path, 0o660, 1)
    await second.wait(T.OPENED)
    first.close()
    await first.closed()
    expect(statSync(path).mode & 0o777).toBe(0o660) // the second's: not the first's to remove
  })

  run('connections wait while the table is full', async () => {
    const client = await start({ init: { channels: 2 } })
    const listener = client.listenTcp('127.0.0.1', 0)
    const port = (await listener.wait(T.OPENED)).payload.readUInt32BE(0)
    for (let i = 0; i < 3; i++) sockets.push(connect(port, '127.0.0.1').on('error', () => {}))
    const first = await accepted(client, listener)
    await client.ping(1n)
    expect([...client.channels.values()].filter((channel) => channel.has(T.ACCEPT))).toHaveLength(1)
    first.channel.close()
    await first.channel.closed()
    await client.until(
      () => [...client.channels.values()].filter((c) => c.has(T.ACCEPT)).length === 2,
      'the next',
      3000,
    )
  })

  run('nothing is left open after many connections', async () => {
    const client = await start()
    const port = await serve({ port: 0, host: '127.0.0.1' }, (socket) => socket.end('bye'))
    await client.ping(1n)
    const before = descriptors(client)
    for (let i = 0; i < 50; i++) {
      const channel = client.connect('127.0.0.1', port)
      await channel.wait(T.OPENED)
      channel.eof()
      await channel.closed()
      expect(channel.out.toString()).toBe('bye')
      await client.connectUnix('/no/such').closed()
    }
    const listener = client.listenTcp('localhost', 0)
    await listener.wait(T.OPENED)
    listener.close()
    await listener.closed()
    expect(descriptors(client)).toBe(before)
  })

  run('a listener takes neither bytes nor credit', async () => {
    const client = await start()
    const listener = client.listenTcp('127.0.0.1', 0)
    await listener.wait(T.OPENED)
    listener.send(T.WINDOW, u32(1))
    expect(await client.exited()).toBe(3)
  })
})
