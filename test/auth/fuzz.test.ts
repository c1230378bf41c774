/** Parsers of what strangers and files say: 700,000 inputs (npm run fuzz); none throws, hangs or is believed. */
import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { parseAuthorizedKeys } from '../../src/auth/authorized-keys.ts'
import { type Certificate, parseCertificate } from '../../src/auth/certificate.ts'
import { certificateTerms, isSigned } from '../../src/auth/certificate-terms.ts'
import { parseKeyOptions } from '../../src/auth/key-options.ts'
import { parseKrl, revokesCertificate, revokesKey } from '../../src/auth/krl.ts'
import { parseUserKey } from '../../src/ssh/public-key.ts'
import { FUZZ_LIMIT_MS, inputs, mutated, random } from '../support/fuzz.ts'
import { KeyFolder } from './key-server.ts'

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
  'lines of authorized_keys',
  () => {
    const next = random(1)
    const seeds = ['key', 'rsa', 'ecdsa'].map((name) =>
      Buffer.from(`no-pty,command="a \\"b\\"",from="10.0.0.0/8,!10.1.*" ${folder.publicLine(name)}\n`),
    )
    const blobs = ['key', 'rsa', 'ecdsa'].map((name) => folder.blob(name))
    let [taken, options] = [0, 0]
    for (let input = 0; input < inputs(100_000); input++) {
      const { keys, refused } = parseAuthorizedKeys(mutated(seeds[input % 3]!, next).toString('latin1'))
      for (const { type, blob } of keys) {
        taken++
        // Whatever is taken for a key can only be used as one.
        if (!blobs.some((known) => known.equals(blob)) && next(50) === 0) parseUserKey(type, blob)?.verify(blob, blob)
      }
      for (const { reason } of refused) if (reason === '') throw new Error('refused without a reason')
    }
    for (let input = 0; input < inputs(250_000); input++) {
      let text = ''
      for (let words = 1 + next(8); words > 0; words--) text += `${WORDS[next(WORDS.length)]}${next(3) ? ',' : ''}`
      if (input % 5 === 0) parseAuthorizedKeys(`${text} ${KEY_LINE}`)
      else if (typeof parseKeyOptions(text) !== 'string') options++
    }
    // Else this would fuzz only the first refusal.
    expect(taken).toBeGreaterThan(inputs(2_000))
    expect(options).toBeGreaterThan(inputs(5_000))
  },
  FUZZ_LIMIT_MS,
)

it(
  'certificates, of which none but the authority’s own is believed',
  () => {
    const next = random(2)
    const seeds = ['key-cert', 'rsa-cert', 'ecdsa-cert'].map((name) => folder.blob(name))
    const algorithms = ['ssh-ed25519']
    for (const seed of seeds) {
      expect(isSigned(parseCertificate(seed)!, algorithms)).toBe(true)
      expect(certificateTerms(parseCertificate(seed)!, '127.0.0.1')).toBeTypeOf('object')
    }
    let [parsed, judged] = [0, 0]
    for (let input = 0; input < inputs(200_000); input++) {
      const seed = seeds[input % 3]!
      const bytes = mutated(seed, next)
      const certificate = parseCertificate(bytes)
      if (!certificate || bytes.equals(seed)) continue
      parsed++
      if (judged >= inputs(20_000)) continue
      judged++
      if (isSigned(certificate, algorithms)) throw new Error(`believed: ${bytes.toString('hex')}`)
    }
    expect(judged).toBe(inputs(20_000))
    expect(parsed).toBeGreaterThan(inputs(20_000))
  },
  FUZZ_LIMIT_MS,
)

it(
  'revocation lists',
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
    for (let input = 0; input < inputs(150_000); input++) {
      try {
        const krl = parseKrl(mutated(seed, next))
        revokesKey(krl, certificate.key)
        revokesCertificate(krl, certificate)
        taken++
      } catch (error) {
        if (!(error instanceof Error) || error instanceof TypeError || error instanceof RangeError) throw error
        reasons.add(error.message.replaceAll(/\d+|".*"/g, ''))
      }
    }
    expect(taken).toBeGreaterThan(inputs(10_000))
    expect(reasons.size).toBeGreaterThan(5)
  },
  FUZZ_LIMIT_MS,
)

/** A key that parses, so that what stands before it decides. */
const KEY_LINE = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEB x'
