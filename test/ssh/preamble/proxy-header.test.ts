/** The PROXY header, by its specification, and against bytes that nobody meant to send. */
import { isIP } from 'node:net'
import { describe, expect, test } from 'vitest'
import { type ProxyHeader, parseProxyHeader } from '../../../src/ssh/preamble/proxy-header.ts'
import { FUZZ_LIMIT_MS, inputs, mutated, pick, random } from '../../support/fuzz.ts'
import { v1, v2 } from './headers.ts'

const parse = (text: string | Buffer) => parseProxyHeader(typeof text === 'string' ? Buffer.from(text, 'latin1') : text)

describe('version 1', () => {
  test('names both ends, and leaves what follows', () => {
    const header = v1('TCP4', '192.0.2.7', '198.51.100.1', 50000, 2222)
    expect(parse(`${header}SSH-2.0-x\r\n`)).toEqual({
      kind: 'complete',
      length: header.length,
      ends: {
        source: { address: '192.0.2.7', port: 50000 },
        destination: { address: '198.51.100.1', port: 2222 },
      },
    })
    expect(parse(v1('TCP6', '2001:db8::7', '::1', 1, 65535))).toMatchObject({
      ends: { source: { address: '2001:db8::7', port: 1 }, destination: { address: '::1', port: 65535 } },
    })
  })

  test('UNKNOWN says nothing of anybody, whatever follows', () => {
    expect(parse('PROXY UNKNOWN\r\nSSH')).toEqual({ kind: 'complete', length: 15 })
    expect(parse('PROXY UNKNOWN ffff::1 nonsense 9\r\n')).toEqual({ kind: 'complete', length: 34 })
  })

  test('is waited for, byte by byte', () => {
    const header = Buffer.from(v1('TCP4', '192.0.2.7', '198.51.100.1', 50000, 2222))
    for (let length = 0; length < header.length; length++) {
      expect(parse(header.subarray(0, length))).toEqual({ kind: 'incomplete', need: length + 1 })
    }
  })

  test.each([
    'SSH-2.0-OpenSSH_9.2\r\n',
    'proxy TCP4 1.2.3.4 1.2.3.4 1 1\r\n',
    'PROXY TCP4 1.2.3.4 1.2.3.4 1 1 \r\n',
    'PROXY  TCP4 1.2.3.4 1.2.3.4 1 1\r\n',
    'PROXY TCP5 1.2.3.4 1.2.3.4 1 1\r\n',
    'PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n',
    'PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n',
    'PROXY TCP4 1.2.3.4 1.2.3.4 01 1\r\n',
    'PROXY TCP4 1.2.3.4 1.2.3.4 -1 1\r\n',
    'PROXY TCP4 1.2.3.4 1.2.3.4 1e2 1\r\n',
    'PROXY TCP4 01.2.3.4 1.2.3.4 1 1\r\n',
    'PROXY TCP4 1.2.3 1.2.3.4 1 1\r\n',
    'PROXY TCP4 ::1 ::1 1 1\r\n',
    'PROXY TCP6 1.2.3.4 ::1 1 1\r\n',
    'PROXY TCP6 fe80::1%eth0 ::1 1 1\r\n',
    'PROXY \r\n',
    `PROXY TCP6 ${'f'.repeat(120)}`,
  ])('refuses %j', (text) => expect(parse(text)).toMatchObject({ kind: 'invalid' }))

  test('refuses a line that is longer than any can be', () => {
    expect(parse(`PROXY UNKNOWN ${'x'.repeat(91)}\r\n`)).toMatchObject({ kind: 'complete', length: 107 })
    expect(parse(`PROXY UNKNOWN ${'x'.repeat(92)}\r\n`)).toMatchObject({ kind: 'invalid' })
  })
})

describe('version 2', () => {
  test('names both ends over IPv4 and IPv6, and steps over TLVs', () => {
    const tlv = Buffer.concat([Buffer.from([0xea, 0, 3]), Buffer.from('vpc')])
    for (const more of [Buffer.alloc(0), tlv, Buffer.alloc(60_000)]) {
      const four = v2({ family: 0x11, addresses: ['192.0.2.7', '198.51.100.1'], ports: [50000, 2222], more })
      expect(parse(Buffer.concat([four, Buffer.from('SSH-')]))).toEqual({
        kind: 'complete',
        length: four.length,
        ends: {
          source: { address: '192.0.2.7', port: 50000 },
          destination: { address: '198.51.100.1', port: 2222 },
        },
      })
    }
    const six = v2({ family: 0x21, addresses: ['2001:db8::7', '::1'], ports: [1, 2] })
    expect(parse(six)).toMatchObject({
      ends: { source: { address: '2001:db8:0:0:0:0:0:7', port: 1 }, destination: { port: 2 } },
    })
  })

  test('LOCAL, unspecified and Unix say nothing of anybody', () => {
    const addresses = { addresses: ['192.0.2.7', '192.0.2.8'], ports: [1, 2] } as const
    expect(parse(v2({ command: 0x20, family: 0x11, ...addresses }))).toEqual({ kind: 'complete', length: 28 })
    expect(parse(v2({ command: 0x20, family: 0xff }))).toEqual({ kind: 'complete', length: 16 })
    expect(parse(v2({ family: 0x00, more: Buffer.alloc(7) }))).toEqual({ kind: 'complete', length: 23 })
    expect(parse(v2({ family: 0x31, more: Buffer.alloc(216) }))).toEqual({ kind: 'complete', length: 232 })
  })

  test('is waited for, first its fixed part, then all of it', () => {
    const header = v2({ family: 0x11, addresses: ['192.0.2.7', '192.0.2.8'], ports: [1, 2] })
    for (let length = 1; length < 16; length++) {
      expect(parse(header.subarray(0, length))).toEqual({ kind: 'incomplete', need: 16 })
    }
    for (let length = 16; length < 28; length++) {
      expect(parse(header.subarray(0, length))).toEqual({ kind: 'incomplete', need: 28 })
    }
  })

  test.each([
    ['another version', v2({ command: 0x11, family: 0x11, more: Buffer.alloc(12) })],
    ['another command', v2({ command: 0x22, family: 0x11, more: Buffer.alloc(12) })],
    ['UDP', v2({ family: 0x12, more: Buffer.alloc(12) })],
    ['IPv4 of no protocol', v2({ family: 0x10, more: Buffer.alloc(12) })],
    ['another family', v2({ family: 0x41, more: Buffer.alloc(12) })],
    ['too short for IPv4', v2({ family: 0x11, more: Buffer.alloc(11) })],
    ['too short for IPv6', v2({ family: 0x21, more: Buffer.alloc(35) })],
    ['a wrong signature', Buffer.from('\r\n\r\n\0\r\nQUIT\r\x21\x11\0\0', 'latin1')],
  ])('refuses %s', (_, bytes) => expect(parse(bytes)).toMatchObject({ kind: 'invalid' }))
})

test(
  'headers made of garbage are an answer each, and a complete one is inside what was sent',
  () => {
    const below = random(7)
    const noise = (length: number) => Buffer.from(Array.from({ length }, () => below(256)))
    const seeds = [
      Buffer.from(v1('TCP4', '192.0.2.7', '198.51.100.1', 50000, 2222)),
      Buffer.from(v1('TCP6', '2001:db8::7', '2001:db8::8', 50000, 2222)),
      Buffer.from('PROXY UNKNOWN\r\n'),
      v2({ family: 0x11, addresses: ['192.0.2.7', '198.51.100.1'], ports: [50000, 2222], more: noise(20) }),
      v2({ family: 0x21, addresses: ['2001:db8::7', '::1'], ports: [1, 2] }),
      v2({ family: 0x00 }),
    ]
    const kinds = { complete: 0, incomplete: 0, invalid: 0 }
    for (let input = 0; input < inputs(300_000); input++) {
      const seed = pick(seeds, below)
      const bytes =
        input % 10 === 0 ? noise(below(200)) : mutated(Buffer.concat([seed, Buffer.from('SSH-2.0-')]), below)
      const header = parseProxyHeader(bytes)
      kinds[header.kind]++
      if (!isSound(header, bytes.length)) expect.fail(`${bytes.toString('hex')}: ${JSON.stringify(header)}`)
    }
    for (const count of Object.values(kinds)) expect(count).toBeGreaterThan(inputs(5000))
  },
  FUZZ_LIMIT_MS,
)

function isSound(header: ProxyHeader, sent: number): boolean {
  if (header.kind === 'incomplete') return header.need > sent
  if (header.kind === 'invalid') return header.reason !== ''
  const { length, ends } = header
  return (
    length <= sent &&
    (!ends ||
      [ends.source, ends.destination].every(({ address, port }) => isIP(address) > 0 && port >= 0 && port < 65_536))
  )
}
