/** Addresses and blocks, as sshd's lists have them. */
import { expect, test } from 'vitest'
import { addressText, contains, inetAton, masked, meantHost, parseAddress, parseBlock } from '../../src/net/address.ts'

test.each([
  ['192.0.2.7', '192.0.2.7'],
  ['::ffff:192.0.2.7', '192.0.2.7'],
  ['::ffff:c000:207', '192.0.2.7'],
  ['2001:DB8:0:0:0:0:0:7', '2001:db8::7'],
  ['::', '::'],
  ['::1', '::1'],
  ['1::', '1::'],
  ['fe80::1%eth0', 'fe80::1'],
  ['64:ff9b::192.0.2.7', '64:ff9b::c000:207'],
  ['1:2:3:4:5:6:7:8', '1:2:3:4:5:6:7:8'],
])('%s is %s', (text, same) => {
  const address = parseAddress(text)
  expect(address && addressText(address)).toBe(same)
})

test.each(['', 'localhost', '1.2.3', '1.2.3.4.5', '01.2.3.4', '1::2::3', '12345::', '/run/x.sock'])(
  '%j is no address',
  (text) => expect(parseAddress(text)).toBeUndefined(),
)

test.each(['192.0.2.0/33', '192.0.2.0/8', '2001:db8::1/64', '::/129', '10.0.0.0/', '10.0.0.0/x', 'host/8'])(
  '%j is no block, as in sshd_config(5)',
  (text) => expect(parseBlock(text)).toBeUndefined(),
)

// Of glibc, asked by `getent ahostsv4`.
test.each([
  ['0', '0.0.0.0'],
  ['127.1', '127.0.0.1'],
  ['127.0.1', '127.0.0.1'],
  ['127.65535', '127.0.255.255'],
  ['2130706433', '127.0.0.1'],
  ['0x7f000001', '127.0.0.1'],
  ['0X7F.1', '127.0.0.1'],
  ['017700000001', '127.0.0.1'],
  ['0177.0.0.1', '127.0.0.1'],
  ['010.0.0.1', '8.0.0.1'],
  ['0xa9.0xfe.0251.254', '169.254.169.254'],
  ['169.254.43518', '169.254.169.254'],
  ['4294967295', '255.255.255.255'],
  ['00', '0.0.0.0'],
  [`${'0'.repeat(100)}177.0.0.1`, '127.0.0.1'],
])('inet_aton(3) reads %s as %s', (text, same) => {
  expect(meantHost(text)).toBe(same)
})

test.each([
  ...[
    '',
    '.',
    '1.',
    '.1',
    '1..2',
    '1.2.3.4.5',
    '256.1',
    '1.2.3.256',
    '1.16777216',
    '1.2.65536',
    '4294967296',
    '08',
    '0x',
  ],
  ...['1.0x', '127.1 ', ' 127.1', '+1', '-1', '1e3', '0b1', '1_0', 'a', '::1', 'localhost', '9'.repeat(65)],
])('%j is no address to it, and stays what it is', (text) => {
  expect(inetAton(text)).toBeUndefined()
  expect(meantHost(text)).toBe(text)
})

test('a block has the addresses that begin as it does', () => {
  const blocks = ['10.0.0.0/8', '192.0.2.7', '2001:db8::/32', '::1/128'].map((text) => {
    const block = parseBlock(text)
    if (!block) throw new Error(text)
    return block
  })
  const inside = (text: string) => {
    const address = parseAddress(text)
    return address !== undefined && contains(blocks, address)
  }
  for (const text of ['10.0.0.0', '10.255.255.255', '::ffff:10.1.2.3', '192.0.2.7', '2001:db8:ffff::', '::1'])
    expect(inside(text)).toBe(true)
  for (const text of ['9.255.255.255', '11.0.0.0', '192.0.2.8', '2001:db9::', '::2', '::'])
    expect(inside(text)).toBe(false)
  const all = parseBlock('0.0.0.0/0')
  expect(all && contains([all], { family: 4, value: 7n })).toBe(true)
  expect(all && contains([all], { family: 6, value: 7n })).toBe(false)
})

test('masking keeps the first bits', () => {
  const address = parseAddress('2001:db8:1:2:3::9')
  expect(address && addressText(masked(address, 64))).toBe('2001:db8:1:2::')
  expect(address && addressText(masked(address, 0))).toBe('::')
})
