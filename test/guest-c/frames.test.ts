import { expect } from 'vitest'
import { type Client, frameBytes, list, spawnPayload, T, text, u8, u16, u32 } from './client.ts'
import { suite } from './suite.ts'

const init = (version: number, lease: number, grace: number, channels: number, flags: number) =>
  Buffer.concat([u16(version), u32(lease), u32(grace), u32(channels), u32(flags)])
const spawnWith = (flags: number, argv: Buffer, env: Buffer, rest = Buffer.concat([text(''), text('')])) =>
  Buffer.concat([u32(flags), u32(9), u16(1), u16(1), u16(0), u16(0), text(''), text('/bin/true'), argv, env, rest])

suite('frames', ({ run, start }) => {
  async function refused(client: Client, what: RegExp): Promise<void> {
    expect(await client.exited()).toBe(3)
    expect(client.stderr).toMatch(what)
  }

  const before: [string, Buffer][] = [
    ['a PING', frameBytes(T.PING, 0, Buffer.alloc(8))],
    ['a wrong version', frameBytes(T.INIT, 0, init(2, 1000, 0, 1, 0))],
    ['no lease', frameBytes(T.INIT, 0, init(1, 0, 0, 1, 0))],
    ['no channels', frameBytes(T.INIT, 0, init(1, 1000, 0, 0, 0))],
    ['too many channels', frameBytes(T.INIT, 0, init(1, 1000, 0, 1025, 0))],
    ['unknown flags', frameBytes(T.INIT, 0, init(1, 1000, 0, 1, 1))],
    ['a short INIT', frameBytes(T.INIT, 0, init(1, 1000, 0, 1, 0).subarray(1))],
    ['a long INIT', frameBytes(T.INIT, 0, Buffer.concat([init(1, 1000, 0, 1, 0), u8(0)]))],
    ['a frame of 65537 bytes', frameBytes(T.DATA, 1, Buffer.alloc(65537))],
    ['a frame of 16 MiB', Buffer.from([255, 255, 255, 20, 0, 0, 0, 1])],
  ]
  for (const [name, bytes] of before) {
    run(`instead of INIT: ${name}`, async () => {
      const client = await start({ init: false })
      client.output.write(bytes)
      await refused(client, /malformed/)
    })
  }

  const after: [string, Buffer][] = [
    ['INIT twice', frameBytes(T.INIT, 0, init(1, 1000, 0, 1, 0))],
    ['an unknown type', frameBytes(99, 0)],
    ['type 0', frameBytes(0, 0)],
    ['a type only the helper sends', frameBytes(T.OPENED, 1, Buffer.alloc(8))],
    ['a short PING', frameBytes(T.PING, 0, Buffer.alloc(7))],
    ['a PING on a channel', frameBytes(T.PING, 1, Buffer.alloc(8))],
    ['a SHUTDOWN with a payload', frameBytes(T.SHUTDOWN, 0, u8(1))],
    ['DATA on an id never used', frameBytes(T.DATA, 5, u8(1))],
    ['DATA on channel 0', frameBytes(T.DATA, 0, u8(1))],
    ['DATA on an accepted id never given', frameBytes(T.DATA, 0x80000001, u8(1))],
    ['WINDOW of 3 bytes', frameBytes(T.WINDOW, 1, Buffer.alloc(3))],
    ['CLOSE of an unknown mode', frameBytes(T.CLOSE, 1, u8(3))],
    ['SIGNAL 0', frameBytes(T.SIGNAL, 1, u8(0))],
    ['SIGNAL 65', frameBytes(T.SIGNAL, 1, u8(65))],
    ['SPAWN on channel 0', frameBytes(T.SPAWN, 0, spawnPayload(['true']))],
    ['SPAWN on a helper id', frameBytes(T.SPAWN, 0x80000001, spawnPayload(['true']))],
    ['SPAWN with an unknown flag', frameBytes(T.SPAWN, 1, spawnPayload(['true'], { flags: 8 }))],
    ['SPAWN without argv', frameBytes(T.SPAWN, 1, spawnPayload([], { program: '/bin/true' }))],
    ['SPAWN with a NUL in an argument', frameBytes(T.SPAWN, 1, spawnPayload(['true', 'a\0b']))],
    ['SPAWN with a NUL in the program', frameBytes(T.SPAWN, 1, spawnPayload(['x'], { program: 'a\0b' }))],
    ['SPAWN with a NUL in cwd', frameBytes(T.SPAWN, 1, spawnPayload(['x'], { cwd: 'a\0b' }))],
    ['SPAWN with a lying count', frameBytes(T.SPAWN, 1, spawnWith(0, u32(0xffffffff), list([])))],
    [
      'SPAWN with a lying length',
      frameBytes(T.SPAWN, 1, spawnWith(0, list(['x']), Buffer.concat([u32(1), u32(0xfffffff0)]))),
    ],
    ['SPAWN with bytes behind it', frameBytes(T.SPAWN, 1, Buffer.concat([spawnPayload(['true']), u8(0)]))],
    ['SPAWN cut short', frameBytes(T.SPAWN, 1, spawnPayload(['true']).subarray(0, -1))],
    ['an empty SPAWN', frameBytes(T.SPAWN, 1)],
    ['CONNECT of an unknown kind', frameBytes(T.CONNECT, 1, Buffer.concat([u32(0), u8(2), u16(1), text('x')]))],
    [
      'LISTEN with more than permission bits',
      frameBytes(T.LISTEN, 1, Buffer.concat([u8(1), u16(0), text('/x'), u32(0o4777), u8(0)])),
    ],
    ['PARTs of two requests', Buffer.concat([frameBytes(T.PART, 1, u8(0)), frameBytes(T.PART, 2, u8(0))])],
    [
      'PARTs of more than a megabyte',
      Buffer.concat(Array.from({ length: 17 }, () => frameBytes(T.PART, 1, Buffer.alloc(65536)))),
    ],
    ['a SWITCH without a token', frameBytes(T.SWITCH, 0, u8(1, 2, 3))],
  ]
  for (const [name, bytes] of after) {
    run(`after INIT: ${name}`, async () => {
      const client = await start()
      client.output.write(bytes)
      await refused(client, /malformed/)
    })
  }

  run('an id that is open cannot be opened again', async () => {
    const client = await start()
    const channel = client.spawn(['sleep', '60'])
    channel.send(T.SPAWN, spawnPayload(['true']))
    await refused(client, /malformed/)
  })

  run('EOF twice, and DATA after EOF', async () => {
    for (const type of [T.EOF, T.DATA]) {
      const client = await start()
      const channel = client.spawn(['sleep', '60'])
      await channel.wait(T.OPENED)
      channel.eof()
      channel.send(type)
      await refused(client, /malformed/)
    }
  })

  run('more credit than 2^31 - 1', async () => {
    const client = await start()
    const channel = client.spawn(['sleep', '60'], { credit: 1 })
    await channel.wait(T.OPENED)
    channel.window(0x7fffffff)
    await refused(client, /malformed/)
  })

  run('what comes for a channel that was just closed is dropped, and its id can be used again', async () => {
    const client = await start()
    const channel = await client.sh('exit 1').closed()
    channel.data('late')
    channel.window(5)
    channel.eof()
    channel.signal(9)
    channel.resize(1, 1)
    channel.close(2)
    channel.frames.length = 0
    channel.send(T.SPAWN, spawnPayload(['sh', '-c', 'exit 2']))
    await channel.closed()
    expect(await channel.exit()).toEqual([0, 2, 0])
  })

  run('frames that come byte by byte are the same frames', async () => {
    const client = await start()
    const bytes = Buffer.concat([
      frameBytes(T.SPAWN, 9, spawnPayload(['sh', '-c', 'cat'])),
      frameBytes(T.PING, 0, Buffer.alloc(8)),
    ])
    for (const byte of bytes) {
      client.output.write(Buffer.from([byte]))
      await new Promise((resolve) => setImmediate(resolve))
    }
    const channel = client.channel(9)
    await channel.wait(T.OPENED)
    channel.eof()
    await channel.closed()
    expect(client.frames.some((frame) => frame.type === T.PONG)).toBe(true)
  })

  run('more channels than INIT allows are refused one by one', async () => {
    const client = await start({ init: { channels: 3 } })
    const channels = Array.from({ length: 5 }, () => client.spawn(['cat']))
    await client.until(() => channels.filter((c) => c.failed).length === 2, 'two refusals', 5000)
    expect(channels.map((channel) => channel.failed?.errno)).toEqual([undefined, undefined, undefined, 11, 11])
    channels[0]?.eof()
    await channels[0]?.closed()
    expect(await channels[0]?.exit()).toEqual([0, 0, 0])
    expect((await client.sh('echo room').closed()).out.toString()).toBe('room\n')
  })

  run('4097 variables are refused, not an error', async () => {
    const client = await start()
    const env = Array.from({ length: 4097 }, () => 'A=1')
    expect((await client.spawn(['true'], { env }).closed()).failed).toEqual({ errno: 7, stage: 2 })
  })

  run('malformed or not, sessions are hung up', async () => {
    const client = await start({ init: { grace: 200 } })
    const channel = client.sh('echo $$; sleep 60')
    const pid = Number(await channel.waitText(/\d+\n/))
    client.send(99, 0)
    await refused(client, /malformed/)
    expect(() => process.kill(pid, 0)).toThrow()
  })
})
