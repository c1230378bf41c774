/** GuestConnection against a helper that does what the test says. */
import { once } from 'node:events'
import { Writable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import { HatchwayError } from '../../src/base/errors.ts'
import { streamOf } from '../../src/bytes/end-stream.ts'
import type { Door } from '../../src/guest/direct.ts'
import { FRAME_TYPE, frame, ProtocolError, windowFrame } from '../../src/guest/frames.ts'
import { GuestRefusal } from '../../src/guest/guest.ts'
import { Output } from '../../src/guest/output.ts'
import { until } from '../support/wait.ts'
import { FakeHelper, helloPayload, Sink, SPEC, u32 } from './fake-helper.ts'

const NEVER = new AbortController().signal
const TTY = { cols: 80, rows: 24, width: 0, height: 0, modes: Buffer.from([53, 0, 0, 0, 0, 0]) }
const KIB = 1024
const START = 256 * KIB

async function spawned(extra: Partial<typeof SPEC> & { tty?: typeof TTY } = {}, sink = new Sink()) {
  const helper = new FakeHelper()
  const connection = await helper.connect()
  const spawning = connection.spawn({ ...SPEC, ...extra }, sink, NEVER)
  const { channel } = await helper.frame(FRAME_TYPE.SPAWN)
  helper.send(FRAME_TYPE.OPENED, channel, u32(100, START))
  return { helper, connection, sink, channel, exec: await spawning }
}

/** Frames that end a program in its order. */
function end(helper: FakeHelper, channel: number, exit = [0, 0, 0], tty = false): void {
  helper.send(FRAME_TYPE.EXIT, channel, Buffer.from(exit))
  helper.send(FRAME_TYPE.EOF, channel)
  if (!tty) helper.send(FRAME_TYPE.EOF2, channel)
  helper.send(FRAME_TYPE.CLOSED, channel)
}

describe('the handshake', () => {
  it('answers HELLO with INIT and says nothing before', async () => {
    const helper = new FakeHelper()
    helper.greets = false
    const opening = helper.connect({ leaseMs: 30_000, graceMs: 700 })
    await sleep(50)
    expect(helper.received).toEqual([])
    helper.send(FRAME_TYPE.HELLO, 0, helloPayload())
    await opening
    const init = await helper.frame(FRAME_TYPE.INIT)
    expect([init.payload.readUInt16BE(0), init.payload.readUInt32BE(2), init.payload.readUInt32BE(6)]).toEqual([
      1, 30_000, 700,
    ])
  })

  it('fails with the engine’s words where it wrote them in place of a HELLO', async () => {
    const helper = new FakeHelper()
    helper.greets = false
    const opening = helper.connect()
    setTimeout(() => helper.raw(Buffer.from('OCI runtime exec failed: exec format error\r\n')), 10)
    await expect(opening).rejects.toThrow(/OCI runtime exec failed: exec format error/)
    expect(helper.closed).toBe(true)
  })

  it('fails in time when nothing says HELLO', async () => {
    const helper = new FakeHelper()
    helper.greets = false
    await expect(helper.connect({ helloMs: 100 })).rejects.toThrow(/timeout/)
    expect(helper.closed).toBe(true)
  })

  it('fails when the program exits first', async () => {
    const helper = new FakeHelper()
    helper.greets = false
    const opening = helper.connect()
    setTimeout(() => {
      helper.stderr('hatchway-guest: no memory\n')
      helper.exits({ code: 1 })
    }, 10)
    await expect(opening).rejects.toThrow(/code.*1.*no memory/)
  })

  it('refuses a helper that runs as somebody else', async () => {
    const helper = new FakeHelper()
    await expect(helper.connect({ uid: 1000 })).rejects.toMatchObject({ code: 'USER_CHANGED' })
    expect(helper.closed).toBe(true)
    await expect(new FakeHelper().connect({ gid: 50 })).rejects.toMatchObject({
      code: 'USER_CHANGED',
      message: 'the user inside was in group 50 and is in 0 now: connect again',
    })
  })

  it('refuses frames that follow HELLO before INIT', async () => {
    const helper = new FakeHelper()
    helper.greets = false
    const opening = helper.connect()
    setTimeout(
      () => helper.raw(Buffer.concat([frame(FRAME_TYPE.HELLO, 0, helloPayload()), frame(FRAME_TYPE.CLOSED, 1)])),
      10,
    )
    await expect(opening).rejects.toThrow(/CLOSED out of turn/)
  })
})

describe('a program', () => {
  it('gives output to its descriptors, then its exit', async () => {
    const { helper, channel, exec, sink } = await spawned()
    helper.send(FRAME_TYPE.DATA, channel, Buffer.from([0, 255, 128]))
    helper.send(FRAME_TYPE.DATA2, channel, Buffer.from('bad\n'))
    end(helper, channel, [0, 7, 0])
    expect(await exec.exit).toEqual({ code: 7 })
    expect(Buffer.concat(sink.out)).toEqual(Buffer.from([0, 255, 128]))
    expect(sink.errorText).toBe('bad\n')
  })

  it('names the signal that ended it', async () => {
    const { helper, channel, exec } = await spawned()
    end(helper, channel, [1, 11, 1])
    expect(await exec.exit).toEqual({ signal: 'SEGV', coreDumped: true })
  })

  it('without a terminal waits for both pipes to be closed, as sshd does', async () => {
    const { helper, channel, exec, sink } = await spawned()
    let ended = false
    exec.exit.then(
      () => (ended = true),
      () => {},
    )
    helper.send(FRAME_TYPE.EXIT, channel, Buffer.from([0, 0, 0]))
    helper.send(FRAME_TYPE.EOF, channel)
    await sleep(20)
    expect(ended).toBe(false)
    helper.send(FRAME_TYPE.DATA2, channel, Buffer.from('late'))
    helper.send(FRAME_TYPE.EOF2, channel)
    helper.send(FRAME_TYPE.CLOSED, channel)
    await exec.exit
    expect(sink.errorText).toBe('late')
  })

  it('on a terminal ends with EXIT and EOF', async () => {
    const { helper, channel, exec } = await spawned({ tty: TTY })
    end(helper, channel, [0, 0, 0], true)
    expect(await exec.exit).toEqual({ code: 0 })
  })

  it('gets argv, environment, modes and size as they were given, in PARTs when they are long', async () => {
    const helper = new FakeHelper()
    const connection = await helper.connect()
    const long = Buffer.alloc(150_000, 0xfe)
    connection.spawn({ ...SPEC, argv: ['-sh', '-c', long], tty: TTY }, new Sink(), NEVER).catch(() => {})
    const { channel } = await helper.frame(FRAME_TYPE.SPAWN)
    const parts = helper.received.filter((one) => one.channel === channel)
    expect(parts.map((one) => one.type)).toEqual([FRAME_TYPE.PART, FRAME_TYPE.PART, FRAME_TYPE.SPAWN])
    const request = Buffer.concat(parts.map((one) => one.payload))
    expect([request.readUInt32BE(0), request.readUInt32BE(4)]).toEqual([1, START])
    expect([request.readUInt16BE(8), request.readUInt16BE(10)]).toEqual([80, 24])
    expect(request.subarray(20, 26)).toEqual(TTY.modes)
    expect(request.includes(long)).toBe(true)
    connection.close()
  })

  it('refuses a NUL inside an argument before anything is sent', async () => {
    const helper = new FakeHelper()
    const connection = await helper.connect()
    const spawning = connection.spawn({ ...SPEC, argv: ['sh', 'a\0b'] }, new Sink(), NEVER)
    await expect(spawning).rejects.toThrow('NUL')
    expect(helper.count(FRAME_TYPE.SPAWN)).toBe(0)
  })

  it('refuses a request longer than 1 MiB as E2BIG', async () => {
    const helper = new FakeHelper()
    const connection = await helper.connect()
    const spawning = connection.spawn({ ...SPEC, argv: ['x'.repeat(1024 * KIB)] }, new Sink(), NEVER)
    await expect(spawning).rejects.toMatchObject({ stage: 'exec', errno: 'E2BIG' })
  })

  it.each([
    [11, 0, true],
    [12, 1, true],
    [2, 2, false],
    [13, 2, false],
  ])('tells FAIL %i at stage %i apart: exhausted %s', async (errno, stage, exhausted) => {
    const helper = new FakeHelper()
    const connection = await helper.connect()
    const spawning = connection.spawn(SPEC, new Sink(), NEVER)
    const { channel } = await helper.frame(FRAME_TYPE.SPAWN)
    helper.send(FRAME_TYPE.FAIL, channel, Buffer.concat([u32(errno), Buffer.from([stage])]))
    const error = await spawning.catch((reason: unknown) => reason)
    expect(error).toBeInstanceOf(GuestRefusal)
    expect(error).toMatchObject({ exhausted })
    expect(connection.channels).toBe(0)
  })

  it('is closed inside when the caller gives up before it runs', async () => {
    const helper = new FakeHelper()
    const connection = await helper.connect()
    const abort = new AbortController()
    const spawning = connection.spawn(SPEC, new Sink(), abort.signal)
    const { channel } = await helper.frame(FRAME_TYPE.SPAWN)
    abort.abort(new Error('gone'))
    await expect(spawning).rejects.toThrow('gone')
    expect((await helper.frame(FRAME_TYPE.CLOSE, channel)).payload[0]).toBe(0)
    helper.send(FRAME_TYPE.OPENED, channel, u32(1, 1))
    helper.send(FRAME_TYPE.CLOSED, channel)
    await until('the channel to go', () => connection.channels === 0)
    expect(connection.ended.aborted).toBe(false)
  })

  it('close() hangs up, or kills the tree; late output is dropped', async () => {
    for (const killTree of [false, true]) {
      const { helper, channel, exec, sink, connection } = await spawned({ killTree })
      exec.close()
      exec.close()
      expect(await exec.exit).toEqual({ signal: 'HUP', coreDumped: false })
      expect((await helper.frame(FRAME_TYPE.CLOSE)).payload[0]).toBe(killTree ? 2 : 0)
      helper.send(FRAME_TYPE.DATA, channel, Buffer.from('late'))
      helper.send(FRAME_TYPE.CLOSED, channel)
      expect([sink.bytes, helper.count(FRAME_TYPE.CLOSE), connection.channels]).toEqual([0, 1, 0])
    }
  })

  it('sends RESIZE with pixels and SIGNAL by number, and says which signals it cannot', async () => {
    const { helper, exec } = await spawned({ tty: TTY })
    exec.resize({ cols: 100_000, rows: 50, width: 640, height: 480 })
    const { payload } = await helper.frame(FRAME_TYPE.RESIZE)
    expect([0, 2, 4, 6].map((at) => payload.readUInt16BE(at))).toEqual([65535, 50, 640, 480])
    expect(exec.signal('TERM')).toBe(true)
    expect((await helper.frame(FRAME_TYPE.SIGNAL)).payload).toEqual(Buffer.from([15]))
    expect([exec.signal('NOSUCH'), exec.signal('toString')]).toEqual([false, false])
  })

  it('tells once when it stopped reading, and swallows what still comes', async () => {
    const { helper, channel, exec } = await spawned()
    helper.send(FRAME_TYPE.UNREAD, channel)
    let told = 0
    exec.onUnread(() => told++)
    exec.stdin.write(Buffer.alloc(2 * 1024 * KIB))
    exec.stdin.end()
    await once(exec.stdin, 'finish')
    expect([told, helper.bytesReceived(channel), helper.count(FRAME_TYPE.EOF)]).toEqual([1, 0, 0])
  })
})

describe('flow control', () => {
  it('sends stdin only within the credit, then EOF after the last byte', async () => {
    const { helper, channel, exec } = await spawned()
    const bytes = Buffer.alloc(START + 1000, 1)
    exec.stdin.end(bytes)
    await until('the credit to be used', () => helper.bytesReceived(channel) === START)
    await sleep(30)
    expect([helper.bytesReceived(channel), helper.count(FRAME_TYPE.EOF)]).toEqual([START, 0])
    helper.raw(windowFrame(channel, 1000))
    await helper.frame(FRAME_TYPE.EOF, channel)
    expect(helper.bytesReceived(channel)).toBe(bytes.length)
  })

  it('queues no more than a little of a stdin that is not read', async () => {
    const { exec } = await spawned()
    let written = 0
    let drained = true
    while (drained && written < 64 * 1024 * KIB) {
      written += 16 * KIB
      drained =
        exec.stdin.write(Buffer.alloc(16 * KIB)) ||
        (await Promise.race([once(exec.stdin, 'drain').then(() => true), sleep(200, false)]))
    }
    expect(written).toBeGreaterThanOrEqual(START)
    expect(written).toBeLessThanOrEqual(START + 192 * KIB)
  })

  it('grants as the sink takes, and nothing while it answered false', async () => {
    const { helper, channel, exec, sink } = await spawned()
    const chunk = Buffer.alloc(64 * KIB)
    helper.send(FRAME_TYPE.DATA, channel, chunk)
    helper.send(FRAME_TYPE.DATA, channel, chunk)
    expect((await helper.frame(FRAME_TYPE.WINDOW, channel)).payload.readUInt32BE(0)).toBe(128 * KIB)
    sink.open = false
    for (let i = 0; i < 4; i++) helper.send(FRAME_TYPE.DATA, channel, chunk)
    await sleep(20)
    expect(helper.count(FRAME_TYPE.WINDOW)).toBe(1)
    sink.open = true
    exec.resume()
    expect((await helper.frame(FRAME_TYPE.WINDOW, channel, 1)).payload.readUInt32BE(0)).toBe(START)
  })

  it('ends a helper that sends a byte beyond its credit', async () => {
    const { helper, channel, exec, connection, sink } = await spawned()
    sink.open = false
    for (let i = 0; i < 4; i++) helper.send(FRAME_TYPE.DATA, channel, Buffer.alloc(64 * KIB))
    expect(connection.ended.aborted).toBe(false)
    helper.send(FRAME_TYPE.DATA, channel, Buffer.alloc(1))
    await expect(exec.exit).rejects.toMatchObject({ code: 'GUEST_FAILED' })
    expect(helper.closed).toBe(true)
    expect(helper.log.join()).toMatch(/broke the protocol.*beyond the credit/)
  })

  it('gives channels turns when the transport is slow', async () => {
    const { helper, connection, exec, channel } = await spawned()
    const spawning = connection.spawn(SPEC, new Sink(), NEVER)
    const other = (await helper.frame(FRAME_TYPE.SPAWN, undefined, 1)).channel
    helper.send(FRAME_TYPE.OPENED, other, u32(1, START))
    const second = await spawning
    helper.stuck = true
    exec.stdin.write(Buffer.alloc(START))
    second.stdin.write(Buffer.alloc(START))
    await sleep(20)
    const early = helper.received.length
    helper.unstick()
    await until(
      'both to arrive',
      () => helper.bytesReceived(channel) === START && helper.bytesReceived(other) === START,
    )
    const order = helper.received.slice(early).filter((one) => one.type === FRAME_TYPE.DATA)
    const firstOfSecond = order.findIndex((one) => one.channel === other)
    expect(firstOfSecond).toBeLessThan(6)
  })
})

describe('sockets', () => {
  async function connected() {
    const helper = new FakeHelper()
    const connection = await helper.connect()
    const connecting = connection.connect({ kind: 'tcp', host: 'localhost', port: 80 }, NEVER)
    const { channel, payload } = await helper.frame(FRAME_TYPE.CONNECT)
    helper.send(FRAME_TYPE.OPENED, channel, u32(0, START))
    return { helper, connection, channel, payload, end: await connecting }
  }

  it('half-closes both ways', async () => {
    const { helper, channel, end, connection } = await connected()
    const socket = streamOf(end)
    socket.end('question')
    await helper.frame(FRAME_TYPE.EOF, channel)
    helper.send(FRAME_TYPE.DATA, channel, Buffer.from('answer'))
    helper.send(FRAME_TYPE.EOF, channel)
    helper.send(FRAME_TYPE.CLOSED, channel)
    expect(Buffer.concat(await socket.toArray()).toString()).toBe('answer')
    expect([helper.count(FRAME_TYPE.CLOSE), connection.channels]).toEqual([0, 0])
  })

  it('reads nothing more than its buffer while nobody reads', async () => {
    const { helper, channel, end } = await connected()
    for (let i = 0; i < 4; i++) helper.send(FRAME_TYPE.DATA, channel, Buffer.alloc(64 * KIB))
    await sleep(20)
    expect(helper.count(FRAME_TYPE.WINDOW)).toBe(0)
    let isWelcome = false
    let bytes = 0
    const nothing = () => {}
    const data = (piece: Buffer) => {
      bytes += piece.length
      return isWelcome
    }
    end.listen({ data, ended: nothing, drained: nothing, finished: nothing, closed: nothing })
    await sleep(20)
    expect([bytes, helper.count(FRAME_TYPE.WINDOW)]).toEqual([START, 0])
    isWelcome = true
    end.resume()
    await helper.frame(FRAME_TYPE.WINDOW, channel)
    end.destroy()
  })

  it('is reset when the helper closes it early, and closed inside when destroyed', async () => {
    const one = await connected()
    one.helper.send(FRAME_TYPE.CLOSED, one.channel)
    await new Promise<void>((over) => one.end.whenClosed(over))
    expect(one.helper.count(FRAME_TYPE.CLOSE)).toBe(0)
    const two = await connected()
    two.end.destroy()
    await two.helper.frame(FRAME_TYPE.CLOSE, two.channel)
  })

  it('says why it was refused', async () => {
    const helper = new FakeHelper()
    const connection = await helper.connect()
    const connecting = connection.connect({ kind: 'unix', path: '/run/x' }, NEVER)
    const { channel } = await helper.frame(FRAME_TYPE.CONNECT)
    helper.send(FRAME_TYPE.FAIL, channel, Buffer.concat([u32(111), Buffer.from([4])]))
    await expect(connecting).rejects.toMatchObject({ stage: 'connect', errno: 'ECONNREFUSED' })
  })

  it('accepts for a listener, granting credit once somebody listens, until it is closed', async () => {
    const helper = new FakeHelper()
    const connection = await helper.connect()
    const got: string[] = []
    const listening = connection.listen(
      { kind: 'tcp', host: '127.0.0.1', port: 0 },
      ({ end, address, port }) => {
        got.push(`${address}:${port}`)
        streamOf(end).end('hi')
      },
      NEVER,
    )
    const { channel } = await helper.frame(FRAME_TYPE.LISTEN)
    helper.send(FRAME_TYPE.OPENED, channel, u32(4000, 0))
    const listener = await listening
    expect(listener.port).toBe(4000)
    const peer = Buffer.from('10.0.0.9')
    const accept = Buffer.concat([u32(channel, START), Buffer.from([0, 99]), u32(peer.length), peer])
    helper.send(FRAME_TYPE.ACCEPT, 0x80000005, accept)
    await helper.frame(FRAME_TYPE.WINDOW, 0x80000005)
    await helper.frame(FRAME_TYPE.EOF, 0x80000005)
    expect([got, helper.bytesReceived(0x80000005)]).toEqual([['10.0.0.9:99'], 2])
    const closing = listener.close()
    await helper.frame(FRAME_TYPE.CLOSE, channel)
    helper.send(FRAME_TYPE.CLOSED, channel)
    await closing
  })

  it('lives when somebody came and went while its listener was being closed', async () => {
    const helper = new FakeHelper()
    const connection = await helper.connect()
    const listening = connection.listen({ kind: 'tcp', host: '127.0.0.1', port: 0 }, () => {}, NEVER)
    const { channel } = await helper.frame(FRAME_TYPE.LISTEN)
    helper.send(FRAME_TYPE.OPENED, channel, u32(4000, 0))
    const closing = (await listening).close()
    helper.send(FRAME_TYPE.ACCEPT, 0x80000005, Buffer.concat([u32(channel, START), Buffer.from([0, 99]), u32(0)]))
    helper.send(FRAME_TYPE.EOF, 0x80000005)
    await helper.frame(FRAME_TYPE.CLOSE, 0x80000005)
    helper.send(FRAME_TYPE.CLOSED, 0x80000005)
    helper.send(FRAME_TYPE.CLOSED, channel)
    await closing
    expect([connection.ended.aborted, connection.channels]).toEqual([false, 0])
  })

  it('is not ended by a fault of ours in taking what it accepted', async () => {
    const helper = new FakeHelper()
    const connection = await helper.connect()
    const fault = () => {
      throw new TypeError('a fault of ours')
    }
    const listening = connection.listen({ kind: 'tcp', host: '127.0.0.1', port: 0 }, fault, NEVER)
    const { channel } = await helper.frame(FRAME_TYPE.LISTEN)
    helper.send(FRAME_TYPE.OPENED, channel, u32(4000, 0))
    await listening
    helper.send(FRAME_TYPE.ACCEPT, 0x80000005, Buffer.concat([u32(channel, START), Buffer.from([0, 99]), u32(0)]))
    await helper.frame(FRAME_TYPE.CLOSE, 0x80000005)
    helper.send(FRAME_TYPE.CLOSED, 0x80000005)
    expect(connection.ended.aborted).toBe(false)
    expect(helper.log.join()).toContain('a fault of ours')
  })
})

describe('a helper that breaks the protocol', () => {
  const cases: Readonly<Record<string, (helper: FakeHelper, channel: number) => void>> = {
    'a channel that never was': (helper) => helper.send(FRAME_TYPE.DATA, 77, Buffer.from('x')),
    'a second HELLO': (helper) => helper.send(FRAME_TYPE.HELLO, 0, helloPayload()),
    'a PONG nobody asked for': (helper) => helper.send(FRAME_TYPE.PONG, 0, Buffer.alloc(8)),
    'SWITCHED without SWITCH': (helper) => helper.send(FRAME_TYPE.SWITCHED, 0, u32(0)),
    'OPENED twice': (helper, channel) => helper.send(FRAME_TYPE.OPENED, channel, u32(1, 1)),
    'FAIL of a running program': (helper, channel) =>
      helper.send(FRAME_TYPE.FAIL, channel, Buffer.from([0, 0, 0, 2, 2])),
    'output after EOF': (helper, channel) => {
      helper.send(FRAME_TYPE.EOF, channel)
      helper.send(FRAME_TYPE.DATA, channel, Buffer.from('x'))
    },
    'EOF twice': (helper, channel) => {
      helper.send(FRAME_TYPE.EOF, channel)
      helper.send(FRAME_TYPE.EOF, channel)
    },
    'EXIT twice': (helper, channel) => {
      helper.send(FRAME_TYPE.EXIT, channel, Buffer.from([0, 0, 0]))
      helper.send(FRAME_TYPE.EXIT, channel, Buffer.from([0, 0, 0]))
    },
    'CLOSED of a running program': (helper, channel) => helper.send(FRAME_TYPE.CLOSED, channel),
    'credit beyond 2 MiB in sum': (helper, channel) => {
      helper.raw(windowFrame(channel, 2048 * KIB - START))
      helper.raw(windowFrame(channel, 1))
    },
    'ACCEPT of a program': (helper, channel) => {
      const accept = Buffer.concat([u32(channel, 1), Buffer.from([0, 1]), u32(0)])
      helper.send(FRAME_TYPE.ACCEPT, 0x80000001, accept)
    },
    'UNREAD without end': (helper, channel) => {
      helper.send(FRAME_TYPE.UNREAD, channel)
      helper.send(FRAME_TYPE.UNREAD, channel)
    },
  }
  for (const [what, misbehave] of Object.entries(cases)) {
    it(`is ended for ${what}, with a log line and without a word of it to the user`, async () => {
      const { helper, channel, exec, connection } = await spawned()
      misbehave(helper, channel)
      const error = await exec.exit.catch((reason: unknown) => reason)
      expect(error).toMatchObject({
        code: 'GUEST_FAILED',
        message: 'the guest helper broke its protocol and was ended',
      })
      expect(helper.log.filter((line) => line.includes('broke the protocol'))).toHaveLength(1)
      expect([helper.closed, connection.channels]).toEqual([true, 0])
    })
  }

  it('is ended when it reads nothing while requests pile up', async () => {
    const helper = new FakeHelper()
    const connection = await helper.connect()
    helper.stuck = true
    const big = { ...SPEC, argv: ['x'.repeat(1000 * KIB)] }
    const spawns = Array.from({ length: 20 }, () => connection.spawn(big, new Sink(), NEVER))
    const results = await Promise.allSettled(spawns)
    expect(results.every((result) => result.status === 'rejected')).toBe(true)
    expect(helper.log.join()).toContain('does not read')
  })

  it('that reads nothing is told of once and later: no caller of control() is thrown at', async () => {
    const broken: Error[] = []
    const output = new Output(new Writable({ write: () => {} }), (error) => broken.push(error))
    for (let i = 0; i < 40; i++) output.control(Buffer.alloc(1024 * KIB))
    expect(broken).toEqual([])
    await sleep(1)
    expect(broken).toEqual([new ProtocolError('the helper does not read')])
  })

  it('logs a flood on stderr as a few short printable lines', async () => {
    const { helper } = await spawned()
    for (let i = 0; i < 1000; i++) helper.stderr(`line ${i} \u001b[31m${'x'.repeat(10_000)}\n`)
    const lines = helper.log.filter((line) => line.includes('helper said'))
    expect(lines.length).toBeLessThanOrEqual(20)
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThan(400)
    expect(lines.join()).not.toContain('\u001b')
  })

  it('never harms the process, whatever legal frames come in whatever order', async () => {
    let x = 42
    const next = (below: number) => {
      x = (Math.imul(x, 1664525) + 1013904223) >>> 0
      return Math.floor((x / 2 ** 32) * below)
    }
    for (let round = 0; round < 300; round++) {
      const helper = new FakeHelper()
      const connection = await helper.connect()
      connection.spawn(SPEC, new Sink(), NEVER).then(
        (exec) => exec.close(),
        () => {},
      )
      connection.connect({ kind: 'tcp', host: 'x', port: 1 }, NEVER).then(
        (end) =>
          streamOf(end)
            .on('error', () => {})
            .resume()
            .end('x'),
        () => {},
      )
      connection
        .listen(
          { kind: 'tcp', host: 'x', port: 1 },
          ({ end }) =>
            void streamOf(end)
              .on('error', () => {})
              .resume(),
          NEVER,
        )
        .catch(() => {})
      const tiny = (type: number, channel: number) => {
        if (type === FRAME_TYPE.OPENED) return u32(1, next(2000))
        if (type === FRAME_TYPE.FAIL) return Buffer.from([0, 0, 0, 2, next(6)])
        if (type === FRAME_TYPE.WINDOW) return u32(1 + next(100))
        if (type === FRAME_TYPE.EXIT) return Buffer.from([0, next(256), 0])
        if (type === FRAME_TYPE.DATA || type === FRAME_TYPE.DATA2) return Buffer.alloc(1 + next(100))
        if (type === FRAME_TYPE.ACCEPT) return Buffer.concat([u32(1 + next(3), 10), Buffer.alloc(2), u32(0)])
        return channel === 0 ? Buffer.alloc(8) : Buffer.alloc(0)
      }
      const types = [15, 15, 15, 15, 16, 17, 20, 20, 21, 22, 23, 24, 28, 29, 30]
      for (let i = 0; i < 40; i++) {
        const type = types[next(types.length)]!
        const channel = type === FRAME_TYPE.ACCEPT ? 0x80000000 + next(3) : 1 + next(3)
        helper.send(type, channel, tiny(type, channel))
        if (i % 8 === 0) await sleep(0)
      }
      connection.close()
      expect(connection.channels).toBe(0)
    }
  })
})

describe('ends', () => {
  it('ends its sessions with a sentence when the helper dies', async () => {
    const { helper, exec, connection } = await spawned()
    helper.exits({ code: 137 })
    await expect(exec.exit).rejects.toMatchObject({ code: 'GUEST_FAILED', message: 'the guest helper ended' })
    expect(connection.ended.reason).toBeInstanceOf(HatchwayError)
    await expect(connection.spawn(SPEC, new Sink(), NEVER)).rejects.toMatchObject({ code: 'GUEST_FAILED' })
  })

  it('says that the container is gone when it is', async () => {
    const { helper, exec } = await spawned()
    helper.diagnosis = new HatchwayError('CONTAINER_GONE', 'container web was stopped')
    helper.exits({ code: 137 })
    await expect(exec.exit).rejects.toMatchObject({ code: 'CONTAINER_GONE', message: 'container web was stopped' })
  })

  it('renews the lease by PINGs and ends a helper that stays silent', async () => {
    const helper = new FakeHelper()
    const connection = await helper.connect({ leaseMs: 1200 })
    await sleep(900)
    expect(helper.count(FRAME_TYPE.PING)).toBeGreaterThanOrEqual(3)
    expect(connection.ended.aborted).toBe(false)
    helper.answersPings = false
    await until('the silent helper to be ended', () => connection.ended.aborted, 3000)
    expect(connection.ended.reason).toMatchObject({ message: 'the guest helper does not answer any more' })
  })

  it('spares a helper whose container is paused', async () => {
    const helper = new FakeHelper()
    const connection = await helper.connect({ leaseMs: 600 })
    helper.answersPings = false
    helper.diagnosis = 'paused'
    await sleep(1500)
    expect(connection.ended.aborted).toBe(false)
    for (const { payload } of helper.received.filter((one) => one.type === FRAME_TYPE.PING))
      helper.send(FRAME_TYPE.PONG, 0, payload)
    helper.diagnosis = undefined
    helper.answersPings = true
    await sleep(600)
    expect(connection.ended.aborted).toBe(false)
    connection.close()
  })

  it('takes whatever a helper says for a sign of life', async () => {
    const helper = new FakeHelper()
    const connection = await helper.connect({ leaseMs: 600 })
    const exec = connection.spawn(SPEC, new Sink(), NEVER)
    const { channel } = await helper.frame(FRAME_TYPE.SPAWN)
    helper.send(FRAME_TYPE.OPENED, channel, u32(7, 0))
    await exec
    helper.answersPings = false
    for (let i = 0; i < 15; i++) {
      await sleep(80)
      helper.send(FRAME_TYPE.DATA, channel, Buffer.from('x'))
    }
    expect(connection.ended.aborted).toBe(false)
    connection.close()
  })

  it('does not take an engine that says nothing for a dead helper, as long as its lease may run', async () => {
    const helper = new FakeHelper()
    const connection = await helper.connect({ leaseMs: 1200 })
    helper.diagnosis = new HatchwayError('ENGINE_TIMEOUT', 'the container engine does not answer')
    helper.answersPings = false
    await sleep(1000)
    expect(connection.ended.aborted).toBe(false)
    for (const { payload } of helper.received.filter((one) => one.type === FRAME_TYPE.PING))
      helper.send(FRAME_TYPE.PONG, 0, payload)
    await sleep(900)
    expect(connection.ended.aborted).toBe(false)
    await until('the end of the lease', () => connection.ended.aborted, 3000)
    expect(connection.ended.reason).toMatchObject({ code: 'ENGINE_TIMEOUT' })
  })

  it('takes no new session after SHUTDOWN', async () => {
    const helper = new FakeHelper()
    const connection = await helper.connect()
    connection.shutdown()
    await helper.frame(FRAME_TYPE.SHUTDOWN)
    await expect(connection.spawn(SPEC, new Sink(), NEVER)).rejects.toMatchObject({ code: 'GUEST_FAILED' })
  })
})

describe('the move to another line', () => {
  const folder = '/nowhere'
  const closed: Door = { folder, file: 's', expect: () => undefined, hide: async () => {}, close: async () => {} }

  it('is not begun where the door closed before: the helper stays on the exec, and may move later', async () => {
    const { helper, connection, channel, exec } = await spawned()
    expect(await connection.switchTo('/inside/s', closed)).toBe('the door is closed')
    expect(await connection.switchTo('/inside/s', closed)).toBe('the door is closed')
    end(helper, channel)
    expect(await exec.exit).toEqual({ code: 0 })
    expect(helper.received.some(({ type }) => type === FRAME_TYPE.SWITCH)).toBe(false)
    expect(connection.ended.aborted).toBe(false)
    connection.close()
  })

  it('that the helper refuses leaves it on the exec', async () => {
    const { helper, connection, channel, exec } = await spawned()
    let withdrawn = 0
    const expected = { token: Buffer.alloc(16), line: new Promise<never>(() => {}), withdraw: () => withdrawn++ }
    const moving = connection.switchTo('/inside/s', { ...closed, expect: () => expected })
    await helper.frame(FRAME_TYPE.SWITCH)
    helper.send(FRAME_TYPE.SWITCHED, 0, u32(2))
    expect(await moving).toBe('ENOENT')
    expect(withdrawn).toBe(1)
    end(helper, channel)
    expect(await exec.exit).toEqual({ code: 0 })
    connection.close()
  })

  const never = () => ({ token: Buffer.alloc(16), line: new Promise<never>(() => {}), withdraw() {} })

  it('takes its time where nothing else is answered either', async () => {
    const helper = new FakeHelper()
    const connection = await helper.connect({ leaseMs: 2400, switchMs: 200 })
    helper.answersPings = false
    await helper.frame(FRAME_TYPE.PING)
    const moving = connection.switchTo('/inside/s', { ...closed, expect: never })
    await sleep(700)
    expect(connection.ended.aborted).toBe(false)
    helper.send(FRAME_TYPE.SWITCHED, 0, u32(2))
    expect(await moving).toBe('ENOENT')
    connection.close()
  })

  it('that is not answered while PINGs are ends the helper', async () => {
    const helper = new FakeHelper()
    const connection = await helper.connect({ switchMs: 200 })
    expect(await connection.switchTo('/inside/s', { ...closed, expect: never })).toBe('no answer to SWITCH')
    expect(connection.ended.reason).toMatchObject({ message: 'the guest helper broke its protocol and was ended' })
  })
})
