import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import ssh2 from 'ssh2'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { makeKeyFiles } from '../../src/auth/make-key-files.ts'
import { type KeyKind, readPrivateKey, typeOf } from '../../src/auth/openssh-key.ts'
import { fingerprint } from '../../src/ssh/public-key.ts'

let directory: string
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'hw-test-key-'))
})
afterAll(() => rmSync(directory, { recursive: true }))

function keygen(...args: string[]): string {
  return execFileSync('ssh-keygen', args, { encoding: 'utf8' }).trim()
}

describe.each<[KeyKind, string]>([
  ['ed25519', '256'],
  ['ecdsa', '256'],
  ['rsa', '3072'],
])('a made %s key', (kind, bits) => {
  let file: string
  let made: string
  beforeAll(async () => {
    file = join(directory, kind)
    made = (await makeKeyFiles(file, kind, 'me@here')).fingerprint
  })

  it('is read by ssh-keygen, with the fingerprint we print', () => {
    const [size, print, comment] = keygen('-l', '-f', file).split(' ')
    expect([size, print, comment]).toEqual([bits, made, 'me@here'])
  })

  it('has the public half that ssh-keygen computes from the private one', () => {
    expect(keygen('-y', '-f', file)).toBe(readFileSync(`${file}.pub`, 'utf8').trim())
  })

  it('signs what ssh-keygen verifies', () => {
    keygen('-Y', 'sign', '-f', file, '-n', 'test', `${file}.pub`)
    const verify = ['-Y', 'check-novalidate', '-n', 'test', '-s', `${file}.pub.sig`]
    const said = execFileSync('ssh-keygen', verify, { input: readFileSync(`${file}.pub`), encoding: 'utf8' })
    expect(said).toContain(made)
  })

  it('is parsed by ssh2', () => {
    const key = ssh2.utils.parseKey(readFileSync(file))
    if (key instanceof Error) throw key
    expect(fingerprint(key.getPublicSSH())).toBe(made)
  })

  it('is for its owner only', () => {
    expect(statSync(file).mode & 0o777).toBe(0o600)
  })
})

describe('the public half of a private key', () => {
  it.each([
    ['ed25519', []],
    ['ecdsa', ['-b', '384']],
    ['ecdsa', ['-b', '521']],
    ['rsa', ['-b', '2048']],
    ['ecdsa', ['-m', 'PEM']],
    ['rsa', ['-m', 'PEM', '-b', '2048']],
    ['rsa', ['-m', 'PKCS8', '-b', '2048']],
  ])('is found in what ssh-keygen -t %s %j writes', (type, options) => {
    const file = join(directory, `gen-${type}-${options.join('')}`)
    keygen('-q', '-t', type, ...options, '-N', '', '-f', file)
    const key = readPrivateKey(readFileSync(file))
    const blob = key === 'dsa' ? Buffer.alloc(0) : key.blob
    expect(`${typeOf(blob)} ${blob.toString('base64')}`).toBe(
      readFileSync(`${file}.pub`, 'utf8').split(' ').slice(0, 2).join(' '),
    )
  })

  it('is refused of a key with a passphrase', () => {
    const file = join(directory, 'locked')
    keygen('-q', '-t', 'ed25519', '-N', 'secret', '-f', file)
    expect(() => readPrivateKey(readFileSync(file))).toThrow(/passphrase/)
  })

  it.each(['', 'garbage', '-----BEGIN OPENSSH PRIVATE KEY-----\nb3Blbg==\n-----END OPENSSH PRIVATE KEY-----\n'])(
    'is refused of %j',
    (text) => expect(() => readPrivateKey(Buffer.from(text))).toThrow(),
  )
})
