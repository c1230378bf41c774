/** RevokedKeys: lists of `ssh-keygen -k` and plain files, against what `ssh-keygen -Q` says of them. */

import { readFileSync, rmSync, truncateSync } from 'node:fs'
import { execa } from 'execa'
import pino from 'pino'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openAuthenticator } from '../../src/auth/authenticator.ts'
import { parseCertificate } from '../../src/auth/certificate.ts'
import { isKrl, parseKrl, revokesCertificate, revokesKey } from '../../src/auth/krl.ts'
import { openRevocations } from '../../src/auth/revocation.ts'
import { wireString } from '../../src/auth/wire.ts'
import type { AuthContext } from '../../src/ssh/auth.ts'
import { KeyFolder, startKeyServer } from './key-server.ts'

const folder = new KeyFolder()
let lines: string[] = []
const log = pino({ level: 'debug' }, { write: (line: string) => void lines.push(line) })
/** name → serial, authority, key id */
const CERTIFICATES: [string, string, string][] = [
  ['zero', '0', 'ca'],
  ['one', '1', 'ca'],
  ['seven', '7', 'ca'],
  ['sixty', '60', 'ca'],
  ['large', '18446744073709551615', 'ca'],
  ['other-one', '1', 'other-ca'],
]

beforeAll(async () => {
  for (const name of ['ca', 'other-ca', 'plain', ...CERTIFICATES.map(([name]) => name)]) await folder.key(name)
  for (const [name, serial, authority] of CERTIFICATES) await folder.certify(authority, name, '-z', serial)
})
afterAll(() => folder.remove())

/** Every key and certificate that our list revokes. */
function revokedBy(file: string): string[] {
  const krl = parseKrl(readFileSync(file))
  const plain = ['ca', 'other-ca', 'plain', ...CERTIFICATES.map(([name]) => name)].filter((name) =>
    revokesKey(krl, folder.blob(name)),
  )
  const certificates = CERTIFICATES.map(([name]) => `${name}-cert`).filter((name) => {
    const certificate = parseCertificate(folder.blob(name))!
    return (
      revokesKey(krl, certificate.key) || revokesKey(krl, certificate.authority) || revokesCertificate(krl, certificate)
    )
  })
  return [...plain, ...certificates]
}

/** The same, of ssh-keygen -Q. */
async function revokedByKeygen(file: string): Promise<string[]> {
  const names = [
    'ca',
    'other-ca',
    'plain',
    ...CERTIFICATES.flatMap(([name]) => name),
    ...CERTIFICATES.map(([name]) => `${name}-cert`),
  ]
  const args = names.map((name) => folder.file(`${name}.pub`))
  const { stdout } = await execa('ssh-keygen', ['-Qf', file, ...args], { reject: false, stdin: 'ignore' })
  return names.filter((_, at) => stdout.split('\n')[at]?.endsWith('REVOKED'))
}

async function list(name: string, spec: string, ...options: string[]): Promise<string> {
  await folder.keygen('-q', '-k', '-f', name, ...options, folder.file(`${name}.spec`, `${spec}\n`))
  return folder.file(name)
}

describe('a list of ssh-keygen -k revokes what ssh-keygen -Q says', () => {
  it.each([
    ['a key', () => `key: ${folder.publicLine('plain')}`, ['plain']],
    ['a SHA-1 hash', () => `sha1: ${folder.publicLine('one')}`, ['one', 'one-cert']],
    [
      'a SHA-256 hash',
      async () => `hash: ${(await folder.keygen('-lf', 'one.pub')).split(' ')[1]}`,
      ['one', 'one-cert'],
    ],
    ['a key with certificates', () => `key: ${folder.publicLine('seven')}`, ['seven', 'seven-cert']],
    ['a serial', () => 'serial: 7', ['seven-cert']],
    ['a range of serials', () => 'serial: 2-100', ['seven-cert', 'sixty-cert']],
    [
      'serials close together, which are a bitmap',
      () => [1, 3, 5, 7, 9, 11, 13, 60].map((n) => `serial: ${n}`).join('\n'),
      ['one-cert', 'seven-cert', 'sixty-cert'],
    ],
    [
      'serials far apart',
      () => 'serial: 60\nserial: 123456789012\nserial: 18446744073709551615',
      ['sixty-cert', 'large-cert'],
    ],
    ['all serials', () => 'serial: 1-18446744073709551615', ['one-cert', 'seven-cert', 'sixty-cert', 'large-cert']],
    ['a key id', () => 'id: id of one\nid: id of zero', ['zero-cert', 'one-cert']],
    ['nothing', () => '# nothing', []],
  ] as [string, () => string | Promise<string>, string[]][])('%s', async (name, spec, revoked) => {
    const file = await list(`krl-${name.replaceAll(/\W/g, '')}`, await spec(), '-s', 'ca.pub')
    expect(isKrl(readFileSync(file))).toBe(true)
    expect(revokedBy(file)).toEqual(revoked)
    expect(await revokedByKeygen(file)).toEqual(revoked)
  })

  it('serials of any authority', async () => {
    const file = await list('krl-any', 'serial: 1', '-s', 'none')
    expect(revokedBy(file)).toEqual(['one-cert', 'other-one-cert'])
    expect(await revokedByKeygen(file)).toEqual(revokedBy(file))
  })

  it('an authority, and so everything it signed', async () => {
    const file = await list('krl-ca', `key: ${folder.publicLine('other-ca')}`)
    expect(revokedBy(file)).toEqual(['other-ca', 'other-one-cert'])
    expect(await revokedByKeygen(file)).toEqual(revokedBy(file))
  })
})

describe('a list that is not what it seems', () => {
  const header = Buffer.concat([
    Buffer.from('SSHKRL\n\0'),
    Buffer.from([0, 0, 0, 1]),
    Buffer.alloc(24),
    Buffer.alloc(8),
  ])
  const section = (type: number, body: Buffer) => Buffer.concat([header, Buffer.of(type), wireString(body)])
  it.each([
    ['is cut short', () => header.subarray(0, -1)],
    [
      'has another format',
      () => Buffer.concat([Buffer.from('SSHKRL\n\0'), Buffer.from([0, 0, 0, 2]), Buffer.alloc(32)]),
    ],
    ['has an unknown section', () => section(9, Buffer.alloc(0))],
    ['has a hash of a wrong length', () => section(3, wireString(Buffer.alloc(19)))],
    ['has a critical extension', () => section(255, Buffer.concat([wireString('x'), Buffer.of(1), wireString('')]))],
    [
      'has an unknown kind of certificates',
      () => section(1, Buffer.concat([wireString(''), wireString(''), Buffer.of(0x30), wireString('')])),
    ],
    [
      'has half a serial',
      () => section(1, Buffer.concat([wireString(''), wireString(''), Buffer.of(0x20), wireString(Buffer.alloc(7))])),
    ],
    [
      'has more than a range',
      () => section(1, Buffer.concat([wireString(''), wireString(''), Buffer.of(0x21), wireString(Buffer.alloc(24))])),
    ],
    [
      'has a negative bitmap',
      () =>
        section(
          1,
          Buffer.concat([
            wireString(''),
            wireString(''),
            Buffer.of(0x22),
            wireString(Buffer.concat([Buffer.alloc(8), wireString(Buffer.of(0x80))])),
          ]),
        ),
    ],
  ])('because it %s is refused', (_, make) => {
    expect(() => parseKrl(make())).toThrow()
  })

  it('by an extension that may be ignored is ignored', () => {
    expect(parseKrl(section(255, Buffer.concat([wireString('x'), Buffer.of(0), wireString('')])))).toMatchObject({
      certificates: [],
    })
  })
})

describe('revoked keys', () => {
  it('in a file of public keys, with every certificate on them', async () => {
    const file = folder.file('revoked', `# gone\n${folder.publicLine('plain')}\n${folder.publicLine('other-ca')}\n`)
    const { why } = openRevocations([file], log)
    expect(await why(folder.blob('plain'))).toMatch(/revoked by/)
    expect(await why(folder.blob('one'))).toBeUndefined()
    const certificate = parseCertificate(folder.blob('other-one-cert'))!
    expect(await why(certificate.key, certificate)).toMatch(/authority/)
  })

  it.each([
    ['is not there', (file: string) => rmSync(file)],
    ['has a line that is no key', (file: string) => folder.file(file.split('/').at(-1)!, 'ssh-ed25519 AAAA\n')],
    ['is a list cut short', (file: string) => truncateSync(file, 20)],
  ])('that cannot be read, as the file %s, keep everybody out', async (_, spoil) => {
    lines = []
    const file = await list(`krl-broken-${lines.length}`, 'serial: 1', '-s', 'ca.pub')
    const { why } = openRevocations([file], log)
    expect(await why(folder.blob('plain'))).toBeUndefined()
    spoil(file)
    expect(await why(folder.blob('plain'))).toMatch(/cannot be read/)
    await why(folder.blob('plain'))
    expect(lines.filter((line) => line.includes('no key is accepted'))).toHaveLength(1)
    await list(`krl-broken-0`, 'serial: 1', '-s', 'ca.pub')
    expect(await why(folder.blob('plain'))).toBeUndefined()
  })

  it('are none where the file is /dev/null', async () => {
    lines = []
    expect(await openRevocations(['/dev/null'], log).why(folder.blob('plain'))).toBeUndefined()
    expect(await openRevocations(['/dev/zero'], log).why(folder.blob('plain'))).toMatch(/cannot be read/)
    expect(lines).toHaveLength(1)
  })

  it('are found of whoever is in already', async () => {
    const revoked = folder.file('later', '# nobody yet\n')
    const context: AuthContext = {
      connectionId: 'c1',
      user: 'dev@web',
      remote: { address: '127.0.0.1', port: 1 },
      local: { address: '127.0.0.1', port: 2222 },
      signal: new AbortController().signal,
    }
    const { publicKey, today } = await openAuthenticator(
      {
        keysDirectory: folder.path,
        authorizedKeys: [folder.file('authorized', `${folder.publicLine('plain')}\n`)],
        trustedUserCAKeys: [folder.file('trusted', `${folder.publicLine('ca')}\n`)],
        authorizedPrincipals: ['dev'],
        authorizedPrincipalsFile: undefined,
        authorizedPrincipalsCommand: undefined,
        authorizedPrincipalsCommandUser: undefined,
        revokedKeys: [revoked],
      },
      log,
    )
    const blobs = ['plain', 'one-cert', 'seven-cert'].map((name) => folder.blob(name))
    const identities = await Promise.all(blobs.map((blob) => publicKey({ algorithm: '', blob }, context)))
    const still = () =>
      Promise.all(identities.map(async (identity) => Boolean(await today({ identity: identity!, context }))))
    expect(await still()).toEqual([true, true, true])
    await folder.keygen(
      ...['-q', '-k', '-f', revoked, '-s', 'ca.pub'],
      folder.file('spec', `key: ${folder.publicLine('plain')}\nserial: 7\n`),
    )
    expect(await still()).toEqual([false, true, false])
  })

  it('keep out who holds them, from the next login on', async () => {
    const revoked = folder.file('live', '# nobody yet\n')
    const authorizedKeys = [folder.file('authorized', `${folder.publicLine('plain')}\n`)]
    const trustedUserCAKeys = [folder.file('trusted', `${folder.publicLine('ca')}\n`)]
    const server = await startKeyServer(folder, { authorizedKeys, trustedUserCAKeys, revokedKeys: [revoked] })
    try {
      const enter = async () => [
        (await server.login(folder.file('plain')))?.name,
        (await server.login(folder.file('one'), { certificate: folder.file('one-cert.pub') }))?.name,
      ]
      expect(await enter()).toEqual(['plain', 'id of one'])
      await folder.keygen(
        '-q',
        '-k',
        '-f',
        revoked,
        '-s',
        'ca.pub',
        folder.file('spec', `key: ${folder.publicLine('plain')}\nserial: 1\n`),
      )
      expect(await enter()).toEqual([undefined, undefined])
      expect(server.reasons().join()).toMatch(/the key is revoked.*the certificate is revoked/)
    } finally {
      await server.close()
    }
  })
})
