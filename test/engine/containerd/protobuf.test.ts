import { expect, test } from 'vitest'
import { decodeMessage, encodeMessage } from '../../../src/engine/containerd/protobuf.ts'

test('writes what the format’s own documentation shows', () => {
  // protobuf.dev/programming-guides/encoding: field 1 = 150, field 2 = "testing", a message in field 3.
  expect(encodeMessage({ 1: 150 }).toString('hex')).toBe('089601')
  expect(encodeMessage({ 2: 'testing' }).toString('hex')).toBe('120774657374696e67')
  expect(encodeMessage({ 3: encodeMessage({ 1: 150 }) }).toString('hex')).toBe('1a03089601')
})

test('leaves zeros out, and no item of a list', () => {
  expect(encodeMessage({ 1: 0, 2: '', 3: false, 4: undefined, 5: Buffer.alloc(0), 6: [] })).toEqual(Buffer.alloc(0))
  expect(encodeMessage({ 1: ['', 'a'] }).toString('hex')).toBe('0a000a0161')
})

test('reads what it writes', () => {
  const bytes = encodeMessage({
    1: 'ü',
    2: 4294967295,
    3: true,
    4: Buffer.from([0, 255]),
    5: [encodeMessage({ 1: 'a', 2: 'x' }), encodeMessage({ 1: 'b' })],
    300: 2 ** 40,
  })
  const read = decodeMessage(bytes)
  expect([read.text(1), read.number(2), read.number(3), read.number(300)]).toEqual(['ü', 4294967295, 1, 2 ** 40])
  expect(read.bytes(4)).toEqual(Buffer.from([0, 255]))
  expect(read.map(5)).toEqual({ a: 'x', b: '' })
  expect(read.messages(5).map((entry) => entry.text(1))).toEqual(['a', 'b'])
  expect([read.text(99), read.number(99), read.message(99).text(1), read.messages(99)]).toEqual(['', 0, '', []])
})

test('reads a number below zero, passes over what it does not know, and takes the last of a field', () => {
  const noTime = Buffer.from('088092b8c398feffffff01', 'hex')
  expect(decodeMessage(noTime).number(1)).toBe(-62135596800)
  const foreign = Buffer.from('0d00000000' + '110000000000000000' + '1801' + '1802', 'hex')
  expect(decodeMessage(foreign).number(3)).toBe(2)
})

test('refuses what is cut off or nothing of the kind', () => {
  for (const hex of ['08', '0a05616263', '0aff', '00', '0b', '08ffffffffffffffffffffff', '0d0000', '120a']) {
    expect(() => decodeMessage(Buffer.from(hex, 'hex')), hex).toThrow(RangeError)
  }
  expect(() => encodeMessage({ 1: -1 })).toThrow(RangeError)
})

test('a field of another type than asked for is a zero', () => {
  expect(decodeMessage(encodeMessage({ 1: 'text', 2: 5 })).number(1)).toBe(0)
  expect(decodeMessage(encodeMessage({ 1: 'text', 2: 5 })).text(2)).toBe('')
})
