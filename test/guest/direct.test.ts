/** The direct data path: who may come in, how much a stranger can do, and that nothing else differs. */
import { once } from 'node:events'
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type Door, openDoor } from '../../src/guest/direct.ts'
import { docker, startContainer, type TestContainer } from '../support/containers.ts'
import { until } from '../support/wait.ts'
import { DEV, LIMIT, openWorld, sh, started, TTY, type World } from './world.ts'

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
  function knock(bytes?: Buffer): net.Socket {
    const socket = net.connect(join(door.folder, door.file))
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
    const incoming = door.incoming(LIMIT())
    const first = knock()
    for (const byte of Buffer.concat([door.token, Buffer.from('frames')])) {
      first.write(Buffer.from([byte]))
      await sleep(1)
    }
    const { socket, listen } = await incoming
    let heard = ''
    listen((chunk) => {
      heard += chunk
    })
    first.write(' and more')
    await until('what follows', () => heard === 'frames and more')
    const second = knock(door.token)
    await once(second, 'close')
    expect(socket.destroyed).toBe(false)
    socket.destroy()
  })

  it('closes on a wrong token at once, on silence in time', async () => {
    void door.incoming(LIMIT()).catch(() => {})
    const begin = performance.now()
    await once(knock(Buffer.alloc(16)), 'close')
    expect(performance.now() - begin).toBeLessThan(1000)
    await once(knock(Buffer.alloc(15)), 'close')
    expect(performance.now() - begin).toBeLessThan(5000)
  })

  it('cannot be crowded: a hundred silent strangers make room for the one with the token', async () => {
    const incoming = door.incoming(LIMIT())
    const crowd = Array.from({ length: 100 }, () => knock())
    await Promise.all(crowd.map((socket) => once(socket, 'connect')))
    const genuine = knock(door.token)
    const { socket } = await incoming
    await until('the crowd to be thinned', () => crowd.filter((one) => !one.destroyed && !one.closed).length <= 8)
    expect([socket.destroyed, genuine.destroyed]).toEqual([false, false])
    for (const one of crowd) one.destroy()
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
