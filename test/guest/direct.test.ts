/** The direct data path: who may come in, how much a stranger can do, and that nothing else differs. */
import { once } from 'node:events'
import { mkdtemp, open, readdir, rm, stat } from 'node:fs/promises'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { GuestConnection } from '../../src/guest/connection.ts'
import { type Door, type Expected, openDoor } from '../../src/guest/direct.ts'
import { attributes, FXP, OPEN, packet, string, u32, u64 } from '../guest-sftp/wire.ts'
import { docker, startContainer, type TestContainer } from '../support/containers.ts'
import { until } from '../support/wait.ts'
import { Sink } from './fake-helper.ts'
import { DEV, LIMIT, openWorld, ROOT, sh, started, TTY, type World } from './world.ts'

const MIB = 1024 * 1024

describe('the door', () => {
  let base: string
  let door: Door
  beforeEach(async () => {
    base = join(await mkdtemp(join(tmpdir(), 'hw-test-door-')), 'direct')
    door = await openDoor(base)
  })
  afterEach(async () => {
    await door.close()
    await rm(join(base, '..'), { recursive: true })
  })
  function expected(): Expected {
    const one = door.expect()
    if (one === undefined) throw new Error('the door is closed')
    return one
  }
  function knock(bytes?: Buffer, path = join(door.folder, door.file)): net.Socket {
    const socket = net.connect(path)
    socket.on('error', () => {})
    if (bytes) socket.write(bytes)
    return socket
  }

  it('lies in a folder that only we may enter, open to foreign uids behind it', async () => {
    expect((await stat(base)).mode & 0o777).toBe(0o700)
    expect((await stat(door.folder)).mode & 0o777).toBe(0o711)
    expect((await stat(join(door.folder, door.file))).mode & 0o777).toBe(0o666)
  })

  it('opens once for the token, whatever follows it, and keeps what follows', async () => {
    const { token, line } = expected()
    const first = knock()
    for (const byte of Buffer.concat([token, Buffer.from('frames')])) {
      first.write(Buffer.from([byte]))
      await sleep(1)
    }
    const { socket, listen } = await line
    let heard = ''
    listen((chunk) => {
      heard += chunk
      return true
    })
    first.write(' and more')
    await until('what follows', () => heard === 'frames and more')
    const second = knock(token)
    await once(second, 'close')
    expect(socket.destroyed).toBe(false)
    socket.destroy()
  })

  it('closes on a wrong token at once, on silence in time', async () => {
    expected()
    const begin = performance.now()
    await once(knock(Buffer.alloc(16)), 'close')
    expect(performance.now() - begin).toBeLessThan(1000)
    await once(knock(Buffer.alloc(15)), 'close')
    expect(performance.now() - begin).toBeLessThan(5000)
  })

  it('cannot be crowded: a hundred silent strangers make room for the one with the token', async () => {
    const { token, line } = expected()
    const crowd = Array.from({ length: 100 }, () => knock())
    await Promise.all(crowd.map((socket) => once(socket, 'connect')))
    const genuine = knock(token)
    const { socket } = await line
    await until('the crowd to be thinned', () => crowd.filter((one) => !one.destroyed && !one.closed).length <= 8)
    expect([socket.destroyed, genuine.destroyed]).toEqual([false, false])
    for (const one of crowd) one.destroy()
    socket.destroy()
  })

  it('expects several, each by its token, and none that was withdrawn, come or not', async () => {
    const [one, two, three, four] = [expected(), expected(), expected(), expected()]
    three.withdraw()
    const [late, second, first, fourth] = [knock(three.token), knock(two.token), knock(one.token), knock(four.token)]
    await once(late, 'close')
    const lines = await Promise.all([one.line, two.line, four.line])
    four.withdraw()
    await once(fourth.resume(), 'close')
    first.write('1')
    second.write('2')
    const heard = ['', '']
    for (const [i, { listen }] of lines.slice(0, 2).entries()) {
      listen((chunk) => {
        heard[i] = chunk.toString()
        return true
      })
    }
    await until('both', () => heard.join() === '1,2')
    await expect(three.line).rejects.toThrow('not awaited any more')
    for (const { socket } of lines) socket.destroy()
  })

  it('is found by nobody once it is hidden, and still lets in who holds its socket open', async () => {
    const O_PATH = 0o10000000
    const held = await open(join(door.folder, door.file), O_PATH)
    await door.hide()
    expect(await readdir(base)).toEqual([])
    const [error] = await once(knock(), 'error')
    expect(error).toMatchObject({ code: 'ENOENT' })
    const { token, line } = expected()
    const genuine = knock(token, `/proc/self/fd/${held.fd}`)
    const { socket } = await line
    await door.close()
    expect([socket.destroyed, genuine.destroyed]).toEqual([false, false])
    socket.destroy()
    await held.close()
  })

  it('is closed for good by who knocks a thousand times, and not for those that are in', async () => {
    const { token, line } = expected()
    const genuine = knock(token)
    const { socket } = await line
    const waiting = expected()
    for (let i = 0; i < 50; i++) {
      const crowd = Array.from({ length: 20 }, () => knock(Buffer.alloc(16)))
      await Promise.all(crowd.map((one) => new Promise((resolve) => one.once('close', resolve))))
    }
    await expect(waiting.line).rejects.toThrow('closed')
    expect(door.expect()).toBe(undefined)
    expect([socket.destroyed, genuine.destroyed]).toEqual([false, false])
    socket.destroy()
  })

  it('leaves no folder', async () => {
    await door.close()
    expect(await readdir(base)).toEqual([])
  })
})

describe('the path', () => {
  let world: World
  let container: TestContainer
  afterEach(async () => {
    await world.close()
    await container.remove()
  })

  it('is taken while a session moves much, loses no byte, and leaves nothing', async () => {
    world = await openWorld({ direct: true })
    container = await startContainer('debian')
    const guest = await world.guest(container, DEV)
    let got = 0
    let wrong = 0
    const exec = await guest.spawn(
      {
        program: 'python3',
        argv: [
          'python3',
          '-c',
          'import sys\nb=bytes(range(256))*256\nfor _ in range(4000): sys.stdout.buffer.write(b)',
        ],
        env: ['PATH=/usr/bin'],
        cwd: '/',
        cwdWarning: '',
        killTree: false,
      },
      {
        write(_fd, chunk) {
          for (let i = 0; i < chunk.length; i += 4093) if (chunk[i] !== ((got + i) & 0xff)) wrong++
          got += chunk.length
          return true
        },
      },
      LIMIT(),
    )
    expect(await exec.exit).toEqual({ code: 0 })
    expect([got, wrong]).toEqual([4000 * 65536, 0])
    await until('the switch', () => world.log.some((line) => line.includes('switched to the direct data path')))
    expect((await sh(guest, 'cat; echo done', {}, 'x'.repeat(3 * MIB))).out.slice(-5)).toBe('done\n')
    await until('holders to be gone', async () => {
      return (await docker('ps', '-aq', '--filter', `label=hatchway.holder=${container.id}`)) === ''
    })
    expect(await readdir(join(world.stateFolder, 'direct'))).toEqual([])
  })

  it('is taken by whoever stays, in the middle of a terminal’s typing, and not by a one-off command', async () => {
    world = await openWorld({ direct: true, directAfterMs: 4000 })
    container = await startContainer('busybox')
    const guest = await world.guest(container)
    const switched = () => world.log.some((line) => line.includes('switched to the direct data path'))
    expect((await sh(guest, 'echo once')).out).toBe('once\n')
    await sleep(5000)
    expect(switched()).toBe(false)

    const { exec, sink } = await started(guest, 'stty raw -echo; printf READY; exec cat', { tty: TTY })
    await until('the program', () => sink.text.startsWith('READY'))
    let typed = ''
    await until('the switch', () => {
      exec.stdin.write('k')
      typed += 'k'
      return switched()
    })
    exec.stdin.write('last')
    await until('every key', () => sink.text === `READY${typed}last`)
    exec.close()
  })

  it('is taken also where the engine is slow to tell that the holder runs', async () => {
    world = await openWorld({ direct: true }, 'docker', undefined, ({ holders }) => ({
      holders: holders && {
        ...holders,
        async start(spec, signal) {
          const holder = await holders.start(spec, signal)
          await sleep(4000)
          return holder
        },
      },
    }))
    container = await startContainer('busybox')
    await world.guest(container)
    const { dataPath } = await world.pool.explain(await world.inspect(container), ROOT, LIMIT())
    expect(dataPath).toMatchObject({ direct: true })
  })

  describe('an SFTP server in it', () => {
    const INIT = Buffer.from([0, 0, 0, 5, 1, 0, 0, 0, 3])
    const READ = (length: number) => packet(FXP.READ, u32(9), string(HANDLE), u64(0), u32(length))
    const HANDLE = Buffer.alloc(4)
    let guest: GuestConnection

    beforeEach(async () => {
      world = await openWorld({ direct: true })
      container = await startContainer('debian', { args: ['--cap-drop=ALL', '--security-opt=no-new-privileges'] })
      guest = (await world.guest(container, DEV)) as GuestConnection
      await world.pool.explain(await world.inspect(container), DEV, LIMIT())
      expect(guest.isDirect).toBe(true)
      await until('holders to be gone', async () => {
        return (await docker('ps', '-aq', '--filter', `label=hatchway.holder=${container.id}`)) === ''
      })
    })

    /** With one file open, of 1 MiB, under HANDLE. */
    async function opened() {
      await sh(guest, 'head -c 1048576 /dev/urandom > /tmp/file')
      const sink = new Sink()
      const exec = await guest.sftp({ directory: '/tmp', readOnly: false }, sink, LIMIT())
      exec.stdin.write(INIT)
      exec.stdin.write(packet(FXP.OPEN, u32(1), string('file'), u32(OPEN.READ | OPEN.WRITE), attributes()))
      await until('the handle', () => Buffer.concat(sink.out).includes(packet(FXP.HANDLE, u32(1), string(HANDLE))))
      return { exec, sink }
    }

    it('has a connection of its own: no frame carries its bytes, nothing is left of the way to it', async () => {
      const before = guest.bytes
      const { exec, sink } = await opened()
      for (let i = 0; i < 20; i++) exec.stdin.write(READ(200_000))
      exec.stdin.end()
      expect(await exec.exit).toEqual({ code: 0 })
      expect(sink.bytes).toBeGreaterThan(20 * 200_000)
      expect(guest.bytes - before).toBe(0)
      expect(await readdir(join(world.stateFolder, 'direct'))).toEqual([])
    })

    it('says why it ends in the frames', async () => {
      const { exec, sink } = await opened()
      exec.stdin.write(Buffer.alloc(300_000, 0xff))
      expect(await exec.exit).toEqual({ code: 1 })
      expect(sink.errorText).toBe('sftp-server: malformed packet, giving up\n')
    })

    it('stands still while its client does, and so does a client while it does', async () => {
      const { exec, sink } = await opened()
      sink.open = false
      const stalled = sink.bytes
      const piece = Buffer.concat(Array.from({ length: 1000 }, () => READ(200_000)))
      exec.stdin.write(piece)
      await until('a stall', () => sink.bytes > stalled)
      const took = sink.bytes
      await sleep(300)
      expect(sink.bytes).toBe(took)
      // It reads no more requests while its answers are not taken.
      let written = 0
      for (; exec.stdin.writableLength === 0 && written < 64 * MIB; written += piece.length) exec.stdin.write(piece)
      expect(written).toBeLessThan(8 * MIB)
      sink.open = true
      exec.resume()
      await until('it to go on', () => sink.bytes > took + 10 * MIB)
      exec.close()
      expect(await exec.exit).toMatchObject({ signal: 'HUP' })
      await until('the server to be gone', async () => {
        return (await container.inside('pgrep -c sftp-server')).stdout.toString() === '0\n'
      })
    })

    it('ends with the helper, and with whoever kills it', async () => {
      const [one, two] = [await opened(), await opened()]
      const killed = one.exec.exit.catch((error: unknown) => error)
      await sh(guest, 'kill -9 $(grep -l "^Name:.sftp-server" /proc/[0-9]*/status | cut -d/ -f3 | sort -n | head -1)')
      expect(await killed).toMatchObject({ signal: 'KILL' })
      guest.close()
      await expect(two.exec.exit).rejects.toMatchObject({ code: 'GUEST_FAILED' })
      await until('the other to be gone', async () => {
        return (await container.inside('pgrep -c sftp-server')).stdout.toString() === '0\n'
      })
    })
  })

  it.each([
    ['the engine cannot create containers', 'this engine cannot create the container that carries the socket'],
    ['the engine is elsewhere', 'gateway and engine do not share a host'],
    ['the socket’s folder cannot be mounted', 'no such folder'],
  ])('stays on the exec stream where %s, and says so', async (what, reason) => {
    world = await openWorld({ direct: true }, 'docker', undefined, (engine) => {
      if (what.includes('create')) return { holders: undefined }
      if (what.includes('elsewhere'))
        return { info: async (signal) => ({ ...(await engine.info(signal)), local: false }) }
      const holders = engine.holders!
      return { holders: { ...holders, start: () => Promise.reject(new Error('no such folder')) } }
    })
    container = await startContainer('busybox')
    const guest = await world.guest(container)
    const { exec, sink } = await started(guest, 'head -c 20000000 /dev/zero')
    await exec.exit
    expect(sink.bytes).toBe(20_000_000)
    const { dataPath } = await world.pool.explain(
      await world.inspect(container),
      { exec: '0:0', uid: 0, gid: 0 },
      LIMIT(),
    )
    expect(dataPath).toEqual({ direct: false, reason })
  })
})
