import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parseAuthorizedKeys } from '../../src/auth/authorized-keys.ts'
import { NO_OPTIONS } from '../../src/auth/key-options.ts'
import { wireString } from '../../src/auth/wire.ts'

let directory: string
const keys: Record<string, string> = {}

function keygen(name: string, ...args: string[]): string {
  const file = join(directory, name)
  execFileSync('ssh-keygen', ['-q', '-N', '', '-C', name, '-f', file, ...args])
  return readFileSync(`${file}.pub`, 'utf8').trim()
}

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'hw-test-ak-'))
  keys.ed25519 = keygen('ed25519', '-t', 'ed25519')
  keys.p256 = keygen('p256', '-t', 'ecdsa', '-b', '256')
  keys.p384 = keygen('p384', '-t', 'ecdsa', '-b', '384')
  keys.p521 = keygen('p521', '-t', 'ecdsa', '-b', '521')
  keys.rsa = keygen('rsa', '-t', 'rsa', '-b', '2048')
  keys.short = keygen('short', '-t', 'rsa', '-b', '1024')
  // No FIDO token here: the public half is only bytes (PROTOCOL.u2f).
  const point = Buffer.from(keys.ed25519?.split(' ')[1] ?? '', 'base64').subarray(-32)
  const sk = Buffer.concat(['sk-ssh-ed25519@openssh.com', point, 'ssh:'].map(wireString))
  keys.sk = `sk-ssh-ed25519@openssh.com ${sk.toString('base64')} token`
})
afterAll(() => rmSync(directory, { recursive: true }))

describe('authorized_keys', () => {
  it.each(['ed25519', 'p256', 'p384', 'p521', 'rsa', 'sk'])('takes a plain %s key', (name) => {
    const { keys: parsed, refused } = parseAuthorizedKeys(`# comment\n\n  ${keys[name]}\r\n`)
    expect(refused).toEqual([])
    expect(parsed).toMatchObject([{ type: keys[name]?.split(' ')[0], line: 3, options: NO_OPTIONS }])
    expect(parsed[0]?.blob.toString('base64')).toBe(keys[name]?.split(' ')[1])
    expect(parsed[0]?.comment).toBe(keys[name]?.split(' ')[2])
  })

  it('computes the fingerprint of ssh-keygen -l', () => {
    const expected = execFileSync('ssh-keygen', ['-l', '-f', join(directory, 'rsa.pub')], { encoding: 'utf8' }).split(
      ' ',
    )[1]
    expect(parseAuthorizedKeys(keys.rsa ?? '').keys[0]?.fingerprint).toBe(expected)
  })

  it('keeps blanks in comments, and needs none', () => {
    const [type, base64] = (keys.ed25519 ?? '').split(' ')
    const { keys: parsed } = parseAuthorizedKeys(`${type}\t${base64}  a b  c \n${type} ${base64}`)
    expect(parsed.map((key) => key.comment)).toEqual(['a b  c', ''])
  })

  it('reads options with quotes, commas and blanks in them', () => {
    const line = `Restrict,command="echo \\"a, b\\" # c",from="10.0.0.0/8,!10.1.*"\t${keys.ed25519}`
    expect(parseAuthorizedKeys(line).keys[0]?.options).toMatchObject({
      from: '10.0.0.0/8,!10.1.*',
      restrictions: { command: 'echo "a, b" # c', pty: false },
    })
  })

  it.each([
    ['a short RSA key', () => keys.short, /1024 bits/],
    ['an open quote', () => `command="x ${keys.ed25519}`, /quote/],
    ['an unknown option', () => `no-such ${keys.ed25519}`, /no-such/],
    ['options without a key', () => 'restrict', /key type/],
    ['a NUL byte', () => `command="a\0b" ${keys.ed25519}`, /NUL/],
    ['two keys in one', () => keys.ed25519?.replace('AAAA', 'AAAA,AAAA'), /base64/],
    ['a key of another type', () => keys.ed25519?.replace('ssh-ed25519', 'ssh-rsa'), /not of type/],
    ['a key cut short', () => keys.ed25519?.slice(0, 60), /./],
    ['a blob with more behind it', () => more(keys.ed25519 ?? ''), /malformed/],
    ['a DSA key', () => `ssh-dss ${wireString('ssh-dss').toString('base64')}`, /DSA/],
    [
      'a kind that OpenSSH 10.5 has and we do not',
      () => `${MLDSA} ${composite()} mine`,
      /of type ssh-mldsa44.* not known/,
    ],
    ['a certificate', () => certificate(), /certificate/],
    ['a private key', () => readFileSync(join(directory, 'ed25519'), 'utf8').split('\n')[1], /key type/],
  ])('refuses %s with the line number', (_, line, reason) => {
    const { keys: parsed, refused } = parseAuthorizedKeys(`#\n${line()}\n${keys.p256}`)
    expect(parsed.map((key) => key.line)).toEqual([3])
    expect(refused).toMatchObject([{ line: 2 }])
    expect(refused[0]?.reason).toMatch(reason)
  })

  it('reads 20,000 lines in no time, and hostile ones as well', () => {
    const before = process.cpuUsage()
    const text = `${keys.ed25519}\n`.repeat(10_000) + `${'a,'.repeat(50)}x="${'\\"'.repeat(200)}\n`.repeat(10_000)
    const long = `command="${'\\"'.repeat(1_000_000)}`
    expect(parseAuthorizedKeys(`${text}${long}`)).toMatchObject({
      keys: { length: 10_000 },
      refused: { length: 10_001 },
    })
    expect(process.cpuUsage(before).user / 1000).toBeLessThan(5_000)
  })
})

const MLDSA = 'ssh-mldsa44-ed25519@openssh.com'

/** ML-DSA-44 and Ed25519, as ssh-keygen 10.5 writes it. */
function composite(): string {
  return Buffer.concat([wireString(MLDSA), wireString(Buffer.alloc(1312 + 32, 7))]).toString('base64')
}

function more(line: string): string {
  const [type, base64 = ''] = line.split(' ')
  return `${type} ${Buffer.concat([Buffer.from(base64, 'base64'), wireString('more')]).toString('base64')}`
}

function certificate(): string {
  execFileSync('ssh-keygen', ['-q', '-s', join(directory, 'ed25519'), '-I', 'id', join(directory, 'p256.pub')])
  return readFileSync(join(directory, 'p256-cert.pub'), 'utf8').trim()
}
