/** The decoder alone: packets cut anywhere, handles used before they were told, and whatever a hostile pair may say. */
import { randomBytes } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import type { SftpOperation } from '../../src/sftp/operations.ts'
import { createSftpTap } from '../../src/sftp/tap.ts'
import { PACKET_TYPE } from '../../src/sftp/types.ts'
import { packet, pieces, status, text, u32, u64 } from './wire.ts'

const version = Buffer.concat([u32(5), Buffer.from([1]), u32(3)])
type Step = readonly ['in' | 'out', Buffer]

/** An upload, a download, and the rest, as OpenSSH's client does them. */
const STEPS: readonly Step[] = [
  ['in', version],
  ['out', version],
  ['in', packet(PACKET_TYPE.OPEN, 1, text('/up'), u32(0x1a), u32(0))],
  ['out', packet(PACKET_TYPE.HANDLE, 1, text('h0'))],
  ['in', packet(PACKET_TYPE.WRITE, 2, text('h0'), u64(0), text(Buffer.alloc(40_000)))],
  ['in', packet(PACKET_TYPE.WRITE, 3, text('h0'), u64(40_000), text(Buffer.alloc(10)))],
  ['out', status(2, 0)],
  ['out', status(3, 4)],
  ['in', packet(PACKET_TYPE.FSETSTAT, 4, text('h0'), u32(0xd), u64(2 ** 33), u32(0o100644), u32(11), u32(12))],
  ['out', status(4, 0)],
  ['in', packet(PACKET_TYPE.CLOSE, 5, text('h0'))],
  ['out', status(5, 0)],
  ['in', packet(PACKET_TYPE.OPEN, 6, text('/down'), u32(1), u32(0))],
  ['in', packet(PACKET_TYPE.READ, 7, text('h0'), u64(0), u32(32768))],
  ['in', packet(PACKET_TYPE.READ, 8, text('h0'), u64(32768), u32(32768))],
  ['in', packet(PACKET_TYPE.CLOSE, 9, text('h0'))],
  ['out', packet(PACKET_TYPE.HANDLE, 6, text('h0'))],
  ['out', packet(PACKET_TYPE.DATA, 7, text(Buffer.alloc(32768)))],
  ['out', packet(PACKET_TYPE.DATA, 8, text('tail'))],
  ['out', status(9, 0)],
  ['in', packet(PACKET_TYPE.REMOVE, 10, text('/gone'))],
  ['out', status(10, 2)],
  ['in', packet(PACKET_TYPE.EXTENDED, 11, text('posix-rename@openssh.com'), text('/a'), text('/b'))],
  ['out', status(11, 0)],
  ['in', packet(PACKET_TYPE.SYMLINK, 12, text('to'), text('/link'))],
  ['out', status(12, 0)],
  ['in', packet(PACKET_TYPE.MKDIR, 13, text('/dir'), u32(0))],
  ['in', packet(PACKET_TYPE.OPEN, 14, text('/left'), u32(2), u32(0))],
  ['out', packet(PACKET_TYPE.HANDLE, 14, text('h0'))],
]

const TOLD: readonly SftpOperation[] = [
  { name: 'open', path: '/up', access: ['write', 'create', 'truncate'], result: 'OK' },
  { name: 'setstat', path: '/up', attributes: { size: 2 ** 33, mode: 0o644, modified: 12 }, result: 'OK' },
  { name: 'close', path: '/up', bytesRead: 0, bytesWritten: 40_000, result: 'OK' },
  // Its handle was guessed before it was told.
  { name: 'open', path: '/down', access: ['read'], result: 'OK' },
  { name: 'close', path: '/down', bytesRead: 32_772, bytesWritten: 0, result: 'OK' },
  { name: 'remove', path: '/gone', result: 'NO_SUCH_FILE' },
  { name: 'rename', path: '/a', target: '/b', result: 'OK' },
  { name: 'symlink', path: '/link', target: 'to', result: 'OK' },
  { name: 'open', path: '/left', access: ['write'], result: 'OK' },
  { name: 'mkdir', path: '/dir', result: 'UNKNOWN' },
  { name: 'close', path: '/left', bytesRead: 0, bytesWritten: 0, result: 'UNKNOWN' },
]

function told(steps: readonly Step[], cut: (bytes: Buffer) => Buffer[]): SftpOperation[] {
  const operations: SftpOperation[] = []
  const tap = createSftpTap((operation) => operations.push(operation))
  for (const [way, bytes] of steps) {
    for (const piece of cut(bytes)) way === 'in' ? tap.input(piece) : tap.output(1, piece)
  }
  tap.end()
  return operations
}

describe('the tap', () => {
  test.each([1, 2, 3, 5, 7, 4096, 1 << 20])('tells the same in pieces of %i', (size) => {
    expect(told(STEPS, (bytes) => pieces(bytes, () => size))).toEqual(TOLD)
  })

  test('tells the same when every direction is one stream', () => {
    const joined: Step[] = []
    for (const [way, bytes] of STEPS) {
      const last = joined.at(-1)
      if (last?.[0] === way) joined[joined.length - 1] = [way, Buffer.concat([last[1], bytes])]
      else joined.push([way, bytes])
    }
    expect(told(joined, (bytes) => [bytes])).toEqual(TOLD)
  })

  test('an id used twice hides nothing', () => {
    const steps: Step[] = [
      ['in', packet(PACKET_TYPE.REMOVE, 1, text('/first'))],
      ['in', packet(PACKET_TYPE.REMOVE, 1, text('/second'))],
      ['out', status(1, 0)],
    ]
    expect(told(steps, (bytes) => [bytes])).toEqual([
      { name: 'remove', path: '/first', result: 'UNKNOWN' },
      { name: 'remove', path: '/second', result: 'OK' },
    ])
  })

  test('requests that are never answered are told, not kept', () => {
    let seen = 0
    const tap = createSftpTap(() => seen++)
    for (let id = 0; id < 20_000; id++) tap.input(packet(PACKET_TYPE.REMOVE, id, text('/x')))
    expect(seen).toBeGreaterThan(15_000)
    tap.end()
    expect(seen).toBe(20_000)
  })

  test('takes any bytes at all', () => {
    for (let round = 0; round < 3000; round++) {
      const tap = createSftpTap(() => {})
      const noise = randomBytes(1 + (round % 700))
      // Short lengths, so that types and fields are reached.
      for (let at = 0; at + 4 < noise.length; at += 23) noise.writeUInt32BE(at % 40, at)
      tap.input(noise)
      tap.output(1, noise)
      tap.output(2, noise)
      tap.end()
    }
  })
})
