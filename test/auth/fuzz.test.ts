/** Parsers of what strangers and files say: 700,000 inputs, the same in every run; none throws, hangs or is believed. */
import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { parseAuthorizedKeys } from '../../src/auth/authorized-keys.ts'
import { type Certificate, parseCertificate } from '../../src/auth/certificate.ts'
import { certificateTerms, isSigned } from '../../src/auth/certificate-terms.ts'
import { parseKeyOptions } from '../../src/auth/key-options.ts'
import { parseKrl, revokesCertificate, revokesKey } from '../../src/auth/krl.ts'
import { parseUserKey } from '../../src/ssh/public-key.ts'
import { KeyFolder } from './key-server.ts'

const LIMIT = 120_000
const folder = new KeyFolder()
beforeAll(async () => {
  for (const name of ['ca', 'key', 'other']) await folder.key(name)
  await folder.key('rsa', '-t', 'rsa', '-b', '2048')
  await folder.key('ecdsa', '-t', 'ecdsa')
  await folder.certify('ca', 'key', '-z', '7', '-O', 'force-command=ls', '-O', 'source-address=127.0.0.1')
  await folder.certify('ca', 'rsa')
  await folder.certify('ca', 'ecdsa', '-n', 'a,b,c')
})
afterAll(() => folder.remove())

/** mulberry32: small, and good enough to mutate. */
function random(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below
  }
}

/** A few changes: bits, bytes, lengths, pieces cut out, doubled or moved. */
function mutate(seed: Buffer, next: (below: number) => number): Buffer {
  let bytes = Buffer.from(seed)
  for (let change = next(4); change >= 0; change--) {
    const at = next(bytes.length || 1)
    const length = 1 + next(16)
    const kind = next(6)
    if (kind === 0 && bytes.length > 0) bytes[at] = (bytes[at] ?? 0) ^ (1 << next(8))
    else if (kind === 1 && bytes.length > 0) bytes[at] = next(256)
    else if (kind === 2 && at + 4 <= bytes.length)
      bytes.writeUInt32BE([0, 1, 0xff, 0xffffffff, bytes.length][next(5)] ?? 0, at)
    else if (kind === 3) bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + length)])
    else if (kind === 4) bytes = Buffer.concat([bytes.subarray(0, at + length), bytes.subarray(at)])
    else bytes = bytes.subarray(0, at)
  }
  return bytes
}

const WORDS = [
  ...[
    'restrict',
    'pty',
    'no-pty',
    'command="',
    'command=',
    'from="10.0.0.0/8"',
    'environment="A=1"',
    'permitopen="h:1"',
  ],
  ...[
    'permitlisten="1"',
    'expiry-time="20300101"',
    'principals="a"',
    'cert-authority',
    'tunnel="0"',
    'no-touch-required',
  ],
  ...['"', '\\"', '\\', ',', ' ', '\t', '=', '#', '\0', 'ssh-ed25519', 'AAAA', '"a b"', 'é', '\u2028', '*', '!'],
]

it(
  '350,000 lines of authorized_keys',
  () => {
    const next = random(1)
    const seeds = ['key', 'rsa', 'ecdsa'].map((name) =>
      Buffer.from(`no-pty,command="a \\"b\\"",from="10.0.0.0/8,!10.1.*" ${folder.publicLine(name)}\n`),
    )
    const blobs = ['key', 'rsa', 'ecdsa'].map((name) => folder.blob(name))
    let [taken, options] = [0, 0]
    for (let input = 0; input < 100_000; input++) {
      const { keys, refused } = parseAuthorizedKeys(mutate(seeds[input % 3]!, next).toString('latin1'))
      for (const { type, blob } of keys) {
        taken++
        // Whatever is taken for a key can only be used as one.
        if (!blobs.some((known) => known.equals(blob)) && next(50) === 0) parseUserKey(type, blob)?.verify(blob, blob)
      }
      for (const { reason } of refused) if (reason === '') throw new Error('refused without a reason')
    }
    for (let input = 0; input < 250_000; input++) {
      let text = ''
      for (let words = 1 + next(8); words > 0; words--) text += `${WORDS[next(WORDS.length)]}${next(3) ? ',' : ''}`
      if (input % 5 === 0) parseAuthorizedKeys(`${text} ${KEY_LINE}`)
      else if (typeof parseKeyOptions(text) !== 'string') options++
    }
    // Else this would fuzz only the first refusal.
    expect(taken).toBeGreaterThan(2_000)
    expect(options).toBeGreaterThan(5_000)
  },
  LIMIT,
)

it(
  '200,000 certificates, of which none but the authority’s own is believed',
  () => {
    const next = random(2)
    const seeds = ['key-cert', 'rsa-cert', 'ecdsa-cert'].map((name) => folder.blob(name))
    const algorithms = ['ssh-ed25519']
    for (const seed of seeds) {
      expect(isSigned(parseCertificate(seed)!, algorithms)).toBe(true)
      expect(certificateTerms(parseCertificate(seed)!, '127.0.0.1')).toBeTypeOf('object')
    }
    let [parsed, judged] = [0, 0]
    for (let input = 0; input < 200_000; input++) {
      const seed = seeds[input % 3]!
      const bytes = mutate(seed, next)
      const certificate = parseCertificate(bytes)
      if (!certificate || bytes.equals(seed)) continue
      parsed++
      if (judged >= 20_000) continue
      judged++
      if (isSigned(certificate, algorithms)) throw new Error(`believed: ${bytes.toString('hex')}`)
    }
    expect(judged).toBe(20_000)
    expect(parsed).toBeGreaterThan(20_000)
  },
  LIMIT,
)

it(
  '150,000 revocation lists',
  async () => {
    const next = random(3)
    const spec = [
      ...[
        'serial: 1',
        'serial: 3',
        'serial: 5',
        'serial: 7',
        'serial: 100-200',
        'serial: 9223372036854775808',
        'id: a',
        'id: b',
      ],
      ...[`key: ${folder.publicLine('key')}`, `sha1: ${folder.publicLine('other')}`],
      `hash: ${(await folder.keygen('-lf', 'other.pub')).split(' ')[1]}`,
    ].join('\n')
    await folder.keygen('-q', '-k', '-f', 'krl', '-s', 'ca.pub', folder.file('spec', `${spec}\n`))
    const seed = readFileSync(folder.file('krl'))
    const certificate: Certificate = parseCertificate(folder.blob('key-cert'))!
    const reasons = new Set<string>()
    let taken = 0
    for (let input = 0; input < 150_000; input++) {
      try {
        const krl = parseKrl(mutate(seed, next))
        revokesKey(krl, certificate.key)
        revokesCertificate(krl, certificate)
        taken++
      } catch (error) {
        if (!(error instanceof Error) || error instanceof TypeError || error instanceof RangeError) throw error
        reasons.add(error.message.replaceAll(/\d+|".*"/g, ''))
      }
    }
    expect(taken).toBeGreaterThan(10_000)
    expect(reasons.size).toBeGreaterThan(5)
  },
  LIMIT,
)

/** A key that parses, so that what stands before it decides. */
const KEY_LINE = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB x'
