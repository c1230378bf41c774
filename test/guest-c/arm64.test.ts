/** The arm64 binary, emulated: that each of its system calls and structures is the right one. */
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import { expect } from 'vitest'
import { emulatedArm64 } from './binary.ts'
import { T, u8, u32 } from './client.ts'
import { alive, suite } from './suite.ts'

suite(
  'arm64',
  ({ run, start, scratch }) => {
    run('pipes, streams and exit status', async () => {
      const client = await start()
      const channel = client.sh('cat; echo err >&2; exit 7')
      await channel.wait(T.OPENED, 15_000)
      channel.data('in')
      channel.eof()
      await channel.closed(15_000)
      expect([channel.out.toString(), channel.err.toString(), await channel.exit()]).toEqual(['in', 'err\n', [0, 7, 0]])
      expect((await client.spawn(['/no/such']).closed()).failed).toEqual({ errno: 2, stage: 2 })
      expect(await (await client.sh('kill -9 $$').closed()).exit()).toEqual([1, 9, 0])
    })

    run('a pty with modes and size, resized', async () => {
      const client = await start()
      const modes = Buffer.concat([u8(53), u32(0), u8(1), u32(1), u8(0)])
      const channel = await client.sh('stty -a', { pty: { cols: 123, rows: 45, modes } }).closed(15_000)
      expect(channel.out.toString()).toMatch(/rows 45; columns 123;[\s\S]*intr = \^A;[\s\S]* -echo /)
    })

    run('a session is hung up, with a monitor too', async () => {
      const client = await start({ init: { grace: 300 } })
      // One process under the monitor: qemu-user 7.2 has no PR_SET_CHILD_SUBREAPER, so what forked leaves the tree as its
      // parent dies. ends.test.ts has whole trees, on this machine's own architecture.
      for (const [monitor, mode, script] of [
        [false, 0, 'sleep 60 & echo $! $$; wait'],
        [true, 2, 'echo $$; exec sleep 60'],
      ] as const) {
        const channel = client.sh(script, { monitor })
        const pids = (await channel.waitText(/\d+\n/, 15_000)).trim().split(' ').map(Number)
        channel.close(mode)
        await channel.closed()
        for (const pid of pids) await expect.poll(() => alive(pid)).toBe(false)
      }
    })

    run('connects, listens and resolves', async () => {
      const client = await start()
      const server = createServer((socket) => socket.end('hello')).listen(0, '127.0.0.1')
      await new Promise((resolve) => server.once('listening', resolve))
      const address = server.address()
      const channel = client.connect('localhost', typeof address === 'object' && address ? address.port : 0)
      await channel.waitText('hello')
      channel.eof()
      await channel.closed()
      server.close()
      const path = join(scratch(), 's')
      const listener = client.listenUnix(path)
      await listener.wait(T.OPENED)
      const socket = connect(path)
      await client.until(() => [...client.channels.values()].some((c) => c.has(T.ACCEPT)), 'ACCEPT', 5000)
      socket.destroy()
    })
  },
  [emulatedArm64()],
)
