import { expect } from 'vitest'
import { type Frame, T, u32 } from './client.ts'
import { suite } from './suite.ts'

const WINDOW = 256 * 1024

suite('flow', ({ run, start, build }) => {
  run('no more is sent than credit was given, stdout and stderr together', async () => {
    const client = await start()
    const channel = client.sh('yes | head -c 100000; yes n | head -c 100000 >&2', { credit: 1000 })
    await channel.wait(T.DATA)
    await client.ping(1n)
    expect(channel.out.length + channel.err.length).toBe(1000)
    channel.window(500)
    await client.until(() => channel.out.length === 1500, '1500 bytes', 3000)
    channel.window(300_000)
    await channel.closed()
    expect([channel.out.length, channel.err.length]).toEqual([100_000, 100_000])
  })

  run('a program that does not read stalls its writer, and only the granted bytes are held', async () => {
    const client = await start()
    const channel = client.sh('read line; sleep 0.3; wc -c')
    await channel.wait(T.OPENED)
    channel.data('go\n')
    for (let sent = 3; sent < WINDOW; sent += 1) {
      const piece = Math.min(50_000, WINDOW - sent)
      channel.data(Buffer.alloc(piece, 'x'))
      sent += piece - 1
    }
    await client.ping(1n)
    const granted = () =>
      channel.frames.filter((f) => f.type === T.WINDOW).reduce((sum, f) => sum + f.payload.readUInt32BE(0), 0)
    await client.until(() => granted() >= WINDOW - 65536, 'credit', 5000)
    channel.eof()
    await channel.closed()
    expect(Number(channel.out)).toBe(WINDOW - 3)
  })

  run('DATA beyond the credit ends the conversation with 3', async () => {
    const client = await start()
    const channel = client.spawn(['sleep', '60'])
    await channel.wait(T.OPENED)
    for (let i = 0; i < 5; i++) channel.data(Buffer.alloc(60_000))
    expect(await client.exited()).toBe(3)
    expect(client.stderr).toMatch(/malformed: DATA beyond its credit/)
  })

  run('DATA before OPENED is beyond the credit', async () => {
    const client = await start()
    // In one write: on a busy machine the helper could have opened the channel before a second one came.
    client.together(() => client.spawn(['cat']).data('x'))
    expect(await client.exited()).toBe(3)
  })

  run('64 MB go in and come out unchanged', { timeout: 120_000 }, async () => {
    const total = build.name === 'x64' || build.name === 'arm64' ? 64 << 20 : 8 << 20
    let received = 0
    let granted = 0
    let wrong = 0
    const client = await start({
      onFrame: (frame: Frame) => {
        if (frame.type === T.WINDOW) granted += frame.payload.readUInt32BE(0)
        if (frame.type !== T.DATA) return false
        for (let i = 0; i < frame.payload.length; i += 997) {
          if (frame.payload[i] !== (received + i) % 251) wrong++
        }
        received += frame.payload.length
        return true
      },
    })
    const channel = client.spawn(['cat'], { credit: 2 ** 31 - 1 })
    await channel.wait(T.OPENED)
    granted += WINDOW
    const pattern = Buffer.from(Array.from({ length: 251 * 400 }, (_, i) => i % 251))
    let sent = 0
    while (sent < total) {
      await client.until(() => granted > sent, 'credit', 20_000)
      const n = Math.min(granted - sent, 65536, total - sent)
      channel.data(pattern.subarray(sent % 251, (sent % 251) + n))
      sent += n
    }
    channel.eof()
    await channel.closed(60_000)
    expect([received, wrong]).toEqual([total, 0])
  })

  run(
    'a hundred channels share the line fairly, and a PING behind them is answered soon',
    { timeout: 60_000 },
    async () => {
      const counts = new Map<number, number>()
      const client = await start({
        onFrame: (frame) => {
          if (frame.type !== T.DATA) return false
          const n = frame.payload.length
          counts.set(frame.channel, (counts.get(frame.channel) ?? 0) + n)
          // What a gateway does: as it is read, it is granted again.
          client.send(T.WINDOW, frame.channel, u32(n))
          return true
        },
      })
      const channels = Array.from({ length: 100 }, () => client.spawn(['cat', '/dev/zero'], { credit: WINDOW }))
      await Promise.all(channels.map((channel) => channel.wait(T.OPENED, 20_000)))
      await new Promise((resolve) => setTimeout(resolve, 1000))
      counts.clear()
      const pings: number[] = []
      for (let i = 0; i < 30; i++) {
        pings.push(await client.ping(BigInt(i)))
        await new Promise((resolve) => setTimeout(resolve, 50))
      }
      const values = channels.map((channel) => counts.get(channel.id) ?? 0).sort((a, b) => a - b)
      pings.sort((a, b) => a - b)
      console.log(`ping behind 100 writers: median ${pings[15]?.toFixed(1)} ms, worst ${pings.at(-1)?.toFixed(1)} ms`)
      // Turns are counted in what a descriptor gives at once; a factor of three leaves room for the scheduler.
      expect(values[0]).toBeGreaterThan((values[50] ?? 0) / 3)
      expect(values.at(-1)).toBeLessThan((values[50] ?? 0) * 3)
      expect(pings[15]).toBeLessThan(500)
      for (const channel of channels) channel.close()
      await Promise.all(channels.map((channel) => channel.closed(20_000)))
    },
  )

  run('a gateway that does not read stalls the programs, not the memory, and is answered later', async () => {
    const client = await start()
    const rss = async () =>
      Number(
        (await import('node:fs'))
          .readFileSync(`/proc/${client.process.pid}/status`, 'utf8')
          .match(/VmRSS:\s+(\d+)/)?.[1],
      )
    const channels = Array.from({ length: 20 }, () => client.spawn(['cat', '/dev/zero'], { credit: 1 << 20 }))
    await Promise.all(channels.map((channel) => channel.wait(T.OPENED)))
    const before = await rss()
    client.process.stdout?.pause()
    for (let i = 0; i < 100_000; i++) client.send(T.PING, 0, Buffer.alloc(8))
    await new Promise((resolve) => setTimeout(resolve, 1000))
    expect((await rss()) - before).toBeLessThan(3000)
    client.process.stdout?.resume()
    await client.until(() => client.frames.filter((f) => f.type === T.PONG).length === 100_000, 'all PONGs', 20_000)
    for (const channel of channels) channel.close()
  })
})
