/** What the SFTP decoder says of the content of files: the right hash, or that there is none; never a wrong one. */
import { createHash, randomBytes } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import type { SftpOperation } from '../../src/sftp/operations.ts'
import { createSftpTap } from '../../src/sftp/tap.ts'
import { PACKET_TYPE } from '../../src/sftp/types.ts'
import { packet, pieces, status, text, u32, u64 } from './wire.ts'

const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex')
type Close = Extract<SftpOperation, { name: 'close' }>
type Tap = ReturnType<typeof createSftpTap>

/** What is told of closed files, in order. */
function closed(act: (tap: Tap, feed: (way: 'in' | 'out', bytes: Buffer) => void) => void, size = 1 << 20): Close[] {
  const told: Close[] = []
  const tap = createSftpTap((operation) => operation.name === 'close' && told.push(operation), true)
  act(tap, (way, bytes) => {
    for (const piece of pieces(bytes, () => size)) {
      if (way === 'in') tap.input(piece)
      else tap.output(1, piece)
      // Lent: what was kept of it would be wrong now.
      piece.fill(0xff)
    }
  })
  tap.end()
  return told
}
const open = (id: number, handle: string) => ({
  asked: packet(PACKET_TYPE.OPEN, id, text(`/${handle}`), u32(0x1b), u32(0)),
  answer: packet(PACKET_TYPE.HANDLE, id, text(handle)),
})
const write = (id: number, handle: string, offset: number, data: Buffer) =>
  packet(PACKET_TYPE.WRITE, id, text(handle), u64(offset), text(data))
const read = (id: number, handle: string, offset: number, length: number) =>
  packet(PACKET_TYPE.READ, id, text(handle), u64(offset), u32(length))
const data = (id: number, bytes: Buffer) => packet(PACKET_TYPE.DATA, id, text(bytes))

const CONTENT = randomBytes(100_000)
const [FIRST, SECOND, THIRD] = [CONTENT.subarray(0, 40_000), CONTENT.subarray(40_000, 90_000), CONTENT.subarray(90_000)]
const OFFSETS = [0, 40_000, 90_000] as const

describe.each([1, 7, 311, 4096, 1 << 20])('in pieces of %i', (size) => {
  test('an upload with all of its requests under way has the hash of what was written', () => {
    const told = closed((_tap, feed) => {
      feed('in', open(1, 'h').asked)
      feed('out', open(1, 'h').answer)
      const writes = [FIRST, SECOND, THIRD].map((bytes, at) => write(2 + at, 'h', OFFSETS[at] ?? 0, bytes))
      feed('in', Buffer.concat(writes))
      feed('out', Buffer.concat([status(2, 0), status(3, 0), status(4, 0)]))
      feed('in', packet(PACKET_TYPE.CLOSE, 5, text('h')))
      feed('out', status(5, 0))
    }, size)
    const content = { bytesRead: 0, bytesWritten: 100_000, sha256Written: sha256(CONTENT) }
    expect(told).toEqual([{ name: 'close', path: '/h', ...content, result: 'OK' }])
  })

  test('a download has the hash of what was read, also where the last answers are short', () => {
    const told = closed((_tap, feed) => {
      feed('in', open(1, 'h').asked)
      feed('out', open(1, 'h').answer)
      feed('in', Buffer.concat(OFFSETS.map((offset, at) => read(2 + at, 'h', offset, 50_000))))
      feed('in', read(9, 'h', 100_000, 50_000))
      feed('out', Buffer.concat([data(2, FIRST), data(3, SECOND), data(4, THIRD), status(9, 1)]))
      feed('in', packet(PACKET_TYPE.CLOSE, 5, text('h')))
      feed('out', status(5, 0))
    }, size)
    expect(told).toMatchObject([{ bytesRead: 100_000, sha256Read: sha256(CONTENT), result: 'OK' }])
    expect(told[0]).not.toHaveProperty('partial')
  })
})

/** Each ends in a file whose content is not known. */
const UNKNOWN: readonly (readonly [string, (feed: (way: 'in' | 'out', bytes: Buffer) => void) => void])[] = [
  [
    'written in another order',
    (feed) => {
      feed('in', Buffer.concat([write(2, 'h', 40_000, SECOND), write(3, 'h', 0, FIRST)]))
      feed('out', Buffer.concat([status(2, 0), status(3, 0)]))
    },
  ],
  [
    'written twice at one place',
    (feed) => {
      feed('in', Buffer.concat([write(2, 'h', 0, FIRST), write(3, 'h', 0, FIRST)]))
      feed('out', Buffer.concat([status(2, 0), status(3, 0)]))
    },
  ],
  [
    'written with a gap',
    (feed) => {
      feed('in', Buffer.concat([write(2, 'h', 0, FIRST), write(3, 'h', 90_000, THIRD)]))
      feed('out', Buffer.concat([status(2, 0), status(3, 0)]))
    },
  ],
  [
    'written from its middle',
    (feed) => {
      feed('in', write(2, 'h', 40_000, SECOND))
      feed('out', status(2, 0))
    },
  ],
  [
    'written, where a write in the middle failed',
    (feed) => {
      feed('in', Buffer.concat([write(2, 'h', 0, FIRST), write(3, 'h', 40_000, SECOND)]))
      feed('out', Buffer.concat([status(2, 0), status(3, 4)]))
    },
  ],
  [
    'written with an answer that never comes',
    (feed) => {
      feed('in', Buffer.concat([write(2, 'h', 0, FIRST), write(3, 'h', 40_000, SECOND)]))
      feed('out', status(2, 0))
    },
  ],
  [
    'written with less data than is said',
    (feed) => {
      const [lie, bytes] = [u32(50_000), Buffer.alloc(10)]
      feed('in', packet(PACKET_TYPE.WRITE, 2, text('h'), u64(0), lie, bytes))
      feed('out', status(2, 0))
    },
  ],
  [
    'read in another order',
    (feed) => {
      feed('in', Buffer.concat([read(2, 'h', 40_000, 50_000), read(3, 'h', 0, 40_000)]))
      feed('out', Buffer.concat([data(2, SECOND), data(3, FIRST)]))
    },
  ],
  [
    'read with answers in another order',
    (feed) => {
      feed('in', Buffer.concat([read(2, 'h', 0, 40_000), read(3, 'h', 40_000, 50_000)]))
      feed('out', Buffer.concat([data(3, SECOND), data(2, FIRST)]))
    },
  ],
  [
    'read from its middle',
    (feed) => {
      feed('in', read(2, 'h', 90_000, 40_000))
      feed('out', data(2, THIRD))
    },
  ],
]

test.each(UNKNOWN)('a file that is %s has no hash, and says so', (_how, act) => {
  const told = closed((_tap, feed) => {
    feed('in', open(1, 'h').asked)
    feed('out', open(1, 'h').answer)
    act(feed)
  })
  expect(told).toMatchObject([{ path: '/h', partial: true, result: 'UNKNOWN' }])
  expect(told[0]).not.toHaveProperty('sha256Read')
  expect(told[0]).not.toHaveProperty('sha256Written')
})

test('more data than is said is not hashed', () => {
  const told = closed((_tap, feed) => {
    feed('in', open(1, 'h').asked)
    feed('out', open(1, 'h').answer)
    feed('in', packet(PACKET_TYPE.WRITE, 2, text('h'), u64(0), u32(4), Buffer.from('fourmore')))
    feed('out', status(2, 0))
  })
  expect(told).toMatchObject([{ bytesWritten: 4, sha256Written: sha256(Buffer.from('four')) }])
})

test('a handle that was guessed takes no hash to another file', () => {
  const told = closed((_tap, feed) => {
    feed('in', open(1, 'h').asked)
    feed('out', open(1, 'h').answer)
    // Closed, opened anew and written before any answer.
    feed('in', packet(PACKET_TYPE.CLOSE, 2, text('h')))
    feed('in', open(3, 'h').asked)
    feed('in', write(4, 'h', 0, FIRST))
    feed('out', Buffer.concat([status(2, 0), open(3, 'h').answer, status(4, 0)]))
  })
  expect(told).toMatchObject([
    { bytesWritten: 0, result: 'OK' },
    { bytesWritten: 40_000, partial: true },
  ])
  for (const one of told) expect(one).not.toHaveProperty('sha256Written')
})

test('more files at a time than there is room for are told without a hash, and room comes back', () => {
  const told = closed((_tap, feed) => {
    for (let file = 0; file < 300; file++) {
      feed('in', open(1, `h${file}`).asked)
      feed('out', open(1, `h${file}`).answer)
      feed('in', write(2, `h${file}`, 0, THIRD))
      feed('out', status(2, 0))
    }
    for (const file of [0, 299]) {
      feed('in', packet(PACKET_TYPE.CLOSE, 3, text(`h${file}`)))
      feed('out', status(3, 0))
    }
    feed('in', open(1, 'late').asked)
    feed('out', open(1, 'late').answer)
    feed('in', write(2, 'late', 0, FIRST))
    feed('out', status(2, 0))
  })
  expect(told).toHaveLength(301)
  expect(told[0]).toMatchObject({ path: '/h0', sha256Written: sha256(THIRD) })
  expect(told[1]).toMatchObject({ path: '/h299', partial: true })
  expect(told.at(-1)).toMatchObject({ path: '/late', sha256Written: sha256(FIRST) })
})
