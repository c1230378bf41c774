import { once } from 'node:events'
import { createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { afterEach, expect } from 'vitest'
import { type Client, T, text } from './client.ts'
import { suite } from './suite.ts'

const TOKEN = Buffer.from('0123456789abcdef')

suite('switch', ({ run, start, scratch }) => {
  let server: Server | undefined
  afterEach(() => server?.close())

  /** The socket, with the token taken off it. */
  async function switched(client: Client): Promise<Socket> {
    const path = join(scratch(), 'gateway.sock')
    const listening = createServer().listen(path)
    server = listening
    await once(listening, 'listening')
    const connection = once(listening, 'connection')
    client.send(T.SWITCH, 0, Buffer.concat([TOKEN, text(path)]))
    const [socket] = (await connection) as [Socket]
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

  run('PING on the exec renews the lease', async () => {
    const client = await start({ init: { lease: 600 } })
    client.keepAlive(150)
    const exec = client.output
    const socket = await switched(client)
    client.output = exec
    await new Promise((resolve) => setTimeout(resolve, 1500))
    expect(client.code).toBeUndefined()
    client.output = socket
  })

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
