/** FIDO keys: the real client with a token of software, and signatures no token would make. */
import pino from 'pino'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createFidoCheck } from '../../src/auth/fido.ts'
import type { Identity } from '../../src/auth/identity.ts'
import { UNRESTRICTED } from '../../src/auth/restrictions.ts'
import type { AuthContext } from '../../src/ssh/auth.ts'
import { parseUserKey } from '../../src/ssh/public-key.ts'
import { KeyFolder, type KeyServer, type LoginOptions, startKeyServer } from './key-server.ts'
import { buildProvider, makeTokenKey, TOUCHED, type TokenKey, type TokenKind, VERIFIED } from './soft-token.ts'

const endpoint = { address: '127.0.0.1', port: 1 }
const CONTEXT: AuthContext = {
  ...{ connectionId: 'c1', user: 'dev@web', remote: endpoint, local: endpoint },
  signal: new AbortController().signal,
}
const KINDS: TokenKind[] = ['ed25519', 'ecdsa']
const folder = new KeyFolder()
const keys: Record<string, TokenKey> = {}
let provider: string
let authorizedKeys: string
let server: KeyServer

beforeAll(async () => {
  provider = await buildProvider(folder.path)
  for (const kind of KINDS) {
    keys[kind] = makeTokenKey(folder.path, kind, kind)
    makeTokenKey(folder.path, `${kind}-ca`, kind)
  }
  makeTokenKey(folder.path, 'pin', 'ed25519', TOUCHED | VERIFIED)
  await folder.key('soft-ca')
  await folder.key('soft')
  authorizedKeys = folder.file('authorized', '# none\n')
  const trusted = folder.file(
    'trusted',
    ['soft-ca', 'ed25519-ca', 'ecdsa-ca'].map((ca) => `${folder.publicLine(ca)}\n`).join(''),
  )
  server = await startKeyServer(folder, {
    authorizedKeys: [authorizedKeys],
    trustedUserCAKeys: [trusted],
    caSignatureAlgorithms: ['ssh-ed25519', 'sk-ssh-ed25519@openssh.com', 'sk-ecdsa-sha2-nistp256@openssh.com'],
  })
})
afterAll(async () => {
  await server?.close()
  folder.remove()
})

function login(key: string, said?: number, options: LoginOptions = {}) {
  server.reasons()
  return server.login(folder.file(key), {
    ...options,
    args: ['-o', `SecurityKeyProvider=${provider}`],
    env: { ...(said !== undefined && { SOFT_TOKEN_FLAGS: String(said) }), ...options.env },
  })
}

describe.each(KINDS)('the real client with a key of type sk-%s', (kind) => {
  it.each([
    ['', TOUCHED, true],
    ['', TOUCHED | VERIFIED, true],
    ['', 0, false],
    ['', VERIFIED, false],
    ['no-touch-required ', 0, true],
    ['verify-required ', TOUCHED, false],
    ['verify-required ', TOUCHED | VERIFIED, true],
    ['verify-required,no-touch-required ', VERIFIED, true],
  ])('with "%s" before it, saying flags %i: %s', async (options, flags, accepted) => {
    folder.file('authorized', `${options}${folder.publicLine(kind)}\n`)
    expect((await login(kind, flags)) !== undefined).toBe(accepted)
    if (!accepted) expect(server.reasons().join()).toMatch(/signed without/)
  })

  it('and a certificate', async () => {
    folder.file('authorized', '# none\n')
    const certificate = await folder.certify('soft-ca', kind)
    expect((await login(kind, TOUCHED, { certificate }))?.principals).toEqual(['dev'])
    expect(await login(kind, 0, { certificate })).toBeUndefined()
    const free = await folder.certify('soft-ca', kind, '-O', 'no-touch-required')
    expect(await login(kind, 0, { certificate: free })).toBeDefined()
    const pin = await folder.certify('soft-ca', kind, '-O', 'verify-required')
    expect(await login(kind, TOUCHED, { certificate: pin })).toBeUndefined()
    expect(await login(kind, TOUCHED | VERIFIED, { certificate: pin })).toBeDefined()
  })

  it('and an authority that is such a key', async () => {
    const certificate = await folder.certify(`${kind}-ca`, 'soft', '-w', provider)
    expect((await login('soft', undefined, { certificate }))?.source).toMatch(/^ca SHA256:/)
  })
})

it('a key that asks for a PIN is asked for one by the client, and verified', async () => {
  folder.file('authorized', `verify-required ${folder.publicLine('pin')}\n`)
  const askpass = folder.file('askpass', '#!/bin/sh\necho 1234\n')
  folder.chmod('askpass', 0o755)
  expect(await login('pin', undefined, { env: { SSH_ASKPASS: askpass, SSH_ASKPASS_REQUIRE: 'force' } })).toBeDefined()
})

it('PubkeyAuthOptions ask for more than a line does', () => {
  const check = createFidoCheck(['touch-required', 'verify-required'], pino({ level: 'silent' }))
  const identity = { restrictions: { ...UNRESTRICTED, touchRequired: false } } as Identity
  expect(check(identity, { touched: true, verified: false, counter: 1 }, CONTEXT)).toBe(false)
  expect(check(identity, { touched: false, verified: true, counter: 1 }, CONTEXT)).toBe(false)
  expect(check(identity, { touched: true, verified: true, counter: 1 }, CONTEXT)).toBe(true)
})

describe('the counter of a token', () => {
  let lines: string[] = []
  const log = pino({ level: 'warn' }, { write: (line: string) => void lines.push(line) })
  beforeEach(() => {
    lines = []
  })
  it.each<[number[], number]>([
    [[1, 2, 3], 0],
    [[5, 5], 1],
    [[5, 4], 1],
    [[5, 4, 6], 1],
    [[0, 0, 0], 0],
    [[0xffffffff, 0], 1],
  ])('that says %j is warned of %i times, and lets in', (counters, warnings) => {
    const check = createFidoCheck([], log)
    const identity = { name: 'a', fingerprint: 'SHA256:a', restrictions: UNRESTRICTED } as Identity
    for (const counter of counters)
      expect(check(identity, { touched: true, verified: false, counter }, CONTEXT)).toBe(true)
    expect(lines).toHaveLength(warnings)
  })
})

describe.each(KINDS)('a signature by a key of type sk-%s', (kind) => {
  const data = Buffer.from('session and request')
  const verify = (signature: Buffer, over = data) =>
    parseUserKey(keys[kind]!.type, keys[kind]!.blob)?.verify(over, signature)

  it('tells flags and counter', () => {
    expect(verify(keys[kind]!.sign(data, 5, 4_000_000_000))).toEqual({
      fido: { touched: true, verified: true, counter: 4_000_000_000 },
    })
    expect(verify(keys[kind]!.sign(data, 0, 7))).toEqual({ fido: { touched: false, verified: false, counter: 7 } })
  })

  it.each<[string, (signature: Buffer) => Buffer]>([
    ['whose touch was added', (signature) => flip(signature, signature.length - 5, 1)],
    ['whose counter was changed', (signature) => flip(signature, signature.length - 1, 1)],
    ['without flags and counter', (signature) => signature.subarray(0, -5)],
    ['cut short', (signature) => signature.subarray(0, -1)],
    ['with a byte more', (signature) => Buffer.concat([signature, Buffer.alloc(1)])],
    ['that is empty', () => Buffer.alloc(0)],
  ])('%s is none', (_, spoil) => {
    expect(verify(spoil(keys[kind]!.sign(data, 0)))).toBeUndefined()
  })

  it('over other data, or by another application’s key, is none', () => {
    expect(verify(keys[kind]!.sign(data, 1), Buffer.from('other'))).toBeUndefined()
    const elsewhere = Buffer.from(keys[kind]!.blob)
    elsewhere.write('web:', elsewhere.length - 4)
    expect(parseUserKey(keys[kind]!.type, elsewhere)?.verify(data, keys[kind]!.sign(data, 1))).toBeUndefined()
  })
})

function flip(bytes: Buffer, at: number, bit: number): Buffer {
  const copy = Buffer.from(bytes)
  copy[at] = (copy[at] ?? 0) ^ bit
  return copy
}
