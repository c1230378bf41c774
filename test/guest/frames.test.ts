/** The parser of what a hostile helper writes: right on every cut, bounded and alive on everything else. */
import { describe, expect, it } from 'vitest'
import { FrameParser, type HelperFrames } from '../../src/guest/frame-parser.ts'
import { FRAME_TYPE, frame, ProtocolError, windowFrame } from '../../src/guest/frames.ts'
import { FUZZ_LIMIT_MS, inputs, random } from '../support/fuzz.ts'
import { helloPayload, u32 } from './fake-helper.ts'

type Call = readonly [string, ...unknown[]]

/** What was heard; pieces of DATA are joined, as their cuts are the transport's. */
function listener(): { calls: Call[]; frames: HelperFrames } {
  const calls: Call[] = []
  const note =
    (name: string) =>
    (...args: unknown[]) =>
      void calls.push([name, ...args])
  let open: { channel: number; fd: number; bytes: Buffer } | undefined
  return {
    calls,
    frames: {
      hello: note('hello'),
      pong: note('pong'),
      switched: note('switched'),
      opened: note('opened'),
      fail: note('fail'),
      accept: (channel, listener, credit, port, address) =>
        void calls.push(['accept', channel, listener, credit, port, address.toString()]),
      data(channel, fd, piece) {
        const last = calls.at(-1)
        if (last?.[0] === 'data' && open?.channel === channel && open.fd === fd) {
          open.bytes = Buffer.concat([open.bytes, piece])
          calls[calls.length - 1] = ['data', channel, fd, open.bytes.toString('latin1')]
          return
        }
        open = { channel, fd, bytes: Buffer.from(piece) }
        calls.push(['data', channel, fd, open.bytes.toString('latin1')])
      },
      eof: note('eof'),
      window: note('window'),
      exit: note('exit'),
      closed: note('closed'),
      unread: note('unread'),
    },
  }
}

const accept = Buffer.concat([u32(3, 65536), Buffer.from([0x1f, 0x90]), u32(9), Buffer.from('127.0.0.1')])
const EVERY: readonly (readonly [Buffer, Call])[] = [
  [frame(FRAME_TYPE.HELLO, 0, helloPayload(1000, 100)), ['hello', { uid: 1000, gid: 100, ownLine: true }]],
  [frame(FRAME_TYPE.HELLO, 0, helloPayload(0, 0, 1, 'HWG1', 3)), ['hello', { uid: 0, gid: 0, ownLine: false }]],
  [frame(FRAME_TYPE.PONG, 0, Buffer.from([0, 0, 0, 0, 0, 0, 1, 2])), ['pong', 258n]],
  [frame(FRAME_TYPE.SWITCHED, 0, u32(2)), ['switched', 2]],
  [frame(FRAME_TYPE.OPENED, 1, u32(4242, 262144)), ['opened', 1, 4242, 262144]],
  [frame(FRAME_TYPE.FAIL, 2, Buffer.concat([u32(11), Buffer.from([0])])), ['fail', 2, 11, 0]],
  [frame(FRAME_TYPE.ACCEPT, 0x80000001, accept), ['accept', 0x80000001, 3, 65536, 8080, '127.0.0.1']],
  [frame(FRAME_TYPE.DATA, 1, Buffer.from('hello')), ['data', 1, 1, 'hello']],
  [frame(FRAME_TYPE.DATA2, 1, Buffer.from('oops')), ['data', 1, 2, 'oops']],
  [frame(FRAME_TYPE.EOF, 1), ['eof', 1, 1]],
  [frame(FRAME_TYPE.EOF2, 1), ['eof', 1, 2]],
  [windowFrame(1, 5), ['window', 1, 5]],
  [frame(FRAME_TYPE.EXIT, 1, Buffer.from([1, 9, 1])), ['exit', 1, 1, 9, true]],
  [frame(FRAME_TYPE.CLOSED, 0xffffffff), ['closed', 0xffffffff]],
  [frame(FRAME_TYPE.UNREAD, 1), ['unread', 1]],
]

describe('frames', () => {
  it('reads every frame type, cut at every boundary', () => {
    const stream = Buffer.concat(EVERY.map(([bytes]) => bytes))
    for (let cut = 0; cut <= stream.length; cut++) {
      const { calls, frames } = listener()
      const parser = new FrameParser(frames)
      parser.feed(stream.subarray(0, cut))
      parser.feed(stream.subarray(cut))
      expect(calls).toEqual(EVERY.map(([, call]) => call))
    }
  })

  it('reads them byte by byte from one reused buffer', () => {
    const { calls, frames } = listener()
    const parser = new FrameParser(frames)
    const lent = Buffer.alloc(1)
    for (const byte of Buffer.concat(EVERY.map(([bytes]) => bytes))) {
      lent[0] = byte
      parser.feed(lent)
    }
    expect(calls).toEqual(EVERY.map(([, call]) => call))
  })

  it('hands DATA on as a view of the chunk', () => {
    let seen: Buffer | undefined
    const parser = new FrameParser({ ...listener().frames, data: (_channel, _fd, piece) => (seen = piece) })
    const chunk = frame(FRAME_TYPE.DATA, 1, Buffer.alloc(1000))
    parser.feed(chunk)
    expect(seen?.buffer).toBe(chunk.buffer)
  })

  const wrong: Readonly<Record<string, Buffer>> = {
    'an unknown type': frame(99, 1),
    'type 0': Buffer.alloc(8),
    'a type only the gateway may send': frame(FRAME_TYPE.SPAWN, 1, Buffer.alloc(40)),
    'DATA of nothing': frame(FRAME_TYPE.DATA, 1),
    'DATA longer than a frame': Buffer.from([1, 0, 1, FRAME_TYPE.DATA, 0, 0, 0, 1]),
    'a huge control frame': Buffer.from([0xff, 0xff, 0xff, FRAME_TYPE.EXIT, 0, 0, 0, 1]),
    'a short OPENED': frame(FRAME_TYPE.OPENED, 1, Buffer.alloc(7)),
    'DATA on channel 0': frame(FRAME_TYPE.DATA, 0, Buffer.from('x')),
    'PONG on a channel': frame(FRAME_TYPE.PONG, 5, Buffer.alloc(8)),
    'HELLO with other magic': frame(FRAME_TYPE.HELLO, 0, helloPayload(0, 0, 1, 'HWG2')),
    'HELLO of another version': frame(FRAME_TYPE.HELLO, 0, helloPayload(0, 0, 2)),
    'FAIL of no stage': frame(FRAME_TYPE.FAIL, 1, Buffer.from([0, 0, 0, 2, 6])),
    'FAIL of errno 0': frame(FRAME_TYPE.FAIL, 1, Buffer.from([0, 0, 0, 0, 2])),
    'EXIT by signal 0': frame(FRAME_TYPE.EXIT, 1, Buffer.from([1, 0, 0])),
    'EXIT of a kind unknown': frame(FRAME_TYPE.EXIT, 1, Buffer.from([2, 0, 0])),
    'WINDOW of 0': windowFrame(1, 0),
    'WINDOW of more than 2 MiB': windowFrame(1, 2 * 1024 * 1024 + 1),
    'OPENED with 4 GiB of credit': frame(FRAME_TYPE.OPENED, 1, u32(1, 0xffffffff)),
    'ACCEPT on a channel of the gateway': frame(FRAME_TYPE.ACCEPT, 7, accept),
    'ACCEPT cut short': frame(FRAME_TYPE.ACCEPT, 0x80000001, accept.subarray(0, 13)),
    'ACCEPT whose address is longer than it': frame(FRAME_TYPE.ACCEPT, 0x80000001, accept.subarray(0, 20)),
  }
  for (const [what, bytes] of Object.entries(wrong)) {
    it(`refuses ${what}, and hears nothing after it`, () => {
      const { calls, frames } = listener()
      const parser = new FrameParser(frames)
      expect(() => parser.feed(bytes)).toThrow(ProtocolError)
      parser.feed(frame(FRAME_TYPE.EOF, 1))
      expect(calls).toEqual([])
    })
  }

  it(
    'takes frames that are mutated and cut anywhere: only ProtocolErrors, bounded memory',
    () => {
      const next = random(20261122)
      const counts = { frames: 0, heard: 0, refused: 0, longest: 0 }
      const hear = () => void counts.heard++
      const frames: HelperFrames = {
        hello: hear,
        pong: hear,
        switched: hear,
        opened: hear,
        fail: hear,
        accept: hear,
        data(_channel, _fd, piece) {
          counts.heard++
          counts.longest = Math.max(counts.longest, piece.length)
        },
        eof: hear,
        window: hear,
        exit: hear,
        closed: hear,
        unread: hear,
      }
      globalThis.gc?.()
      const before = process.memoryUsage().rss
      const chunk = Buffer.alloc(70_000)
      let parser = new FrameParser(frames)
      while (counts.frames < inputs(1_000_000)) {
        // Some frames back to back in one buffer that is reused for ever.
        let length = 0
        const batch = 1 + next(64)
        for (let i = 0; i < batch; i++) {
          const [bytes] = EVERY[next(EVERY.length)]!
          length += bytes.copy(chunk, length)
          counts.frames++
        }
        const kind = next(4)
        if (kind === 0) for (let i = next(4); i >= 0; i--) chunk[next(length)] = next(256)
        if (kind === 1) for (let i = 0; i < length; i++) chunk[i] = next(256)
        try {
          for (let at = 0; at < length; ) {
            const end = kind === 3 ? length : Math.min(length, at + 1 + next(40))
            parser.feed(chunk.subarray(at, end))
            at = end
          }
          // A mutated length may have left it in the middle of a frame: that is legal, the next test starts afresh.
          if (kind < 2) parser = new FrameParser(frames)
        } catch (error) {
          if (!(error instanceof ProtocolError)) throw error
          counts.refused++
          parser = new FrameParser(frames)
        }
      }
      expect(counts.heard).toBeGreaterThan(inputs(300_000))
      expect(counts.refused).toBeGreaterThan(inputs(10_000))
      expect(counts.longest).toBeLessThanOrEqual(65536)
      expect(process.memoryUsage().rss - before).toBeLessThan(96 * 1024 * 1024)
    },
    FUZZ_LIMIT_MS,
  )
})
