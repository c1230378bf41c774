import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { bytesOf, isUtf8Text, textOf } from '../../src/bytes/byte-text.ts'

test.each([
  ['', ''],
  ['plain', 'plain'],
  ['jos\xe9', 'jos\udce9'],
  ['\xff\xfe', '\udcff\udcfe'],
  // Half a letter, a letter after a byte that is none, a surrogate written as UTF-8, one code point too many.
  ['a\xc3', 'a\udcc3'],
  ['\xe9\xc3\xa9', '\udce9é'],
  ['\xed\xb3\xa9', '\udced\udcb3\udca9'],
  ['\xf4\x90\x80\x80', '\udcf4\udc90\udc80\udc80'],
  ['\xf0\x9f\x98\x80', '😀'],
])('%j is %j, and the same again', (bytes, text) => {
  const buffer = Buffer.from(bytes, 'latin1')
  expect(textOf(buffer)).toBe(text)
  expect(bytesOf(text)).toEqual(buffer)
})

test('any bytes come back, also cut and joined', () => {
  for (let round = 0; round < 2000; round++) {
    const [one, two] = [randomBytes(round % 9), randomBytes(round % 7)]
    expect(bytesOf(textOf(one))).toEqual(one)
    expect(bytesOf(`${textOf(one)}/${textOf(two)}`)).toEqual(Buffer.concat([one, Buffer.from('/'), two]))
  }
})

test('halves of a pair are no bytes', () => {
  expect([isUtf8Text('😀'), isUtf8Text('é'), isUtf8Text('\udce9')]).toEqual([true, true, false])
  expect(bytesOf('😀')).toEqual(Buffer.from('😀'))
})
