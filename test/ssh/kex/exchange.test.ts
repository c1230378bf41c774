/** What the server answers to clients that are wrong, guess, or prefer something else. */
import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { ml_kem768 } from '@noble/post-quantum/ml-kem.js'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { HYBRIDS, KEX_ALGORITHMS } from '../../../src/ssh/kex/algorithms.ts'
import { startServer, type TestServer } from '../support.ts'
import { exchange, kexInit, MESSAGE, readReply } from './raw-client.ts'
import { ssh2, startKexServer } from './server.ts'

const MLKEM = 'mlkem768x25519-sha256'
const SNTRUP = 'sntrup761x25519-sha512'
const CURVE = 'curve25519-sha256'
const KEY_EXCHANGE_FAILED = 3

let server: TestServer
beforeAll(async () => {
  server = await startServer()
})
afterAll(() => server.close())

describe.each([...HYBRIDS])('%s', (name, { kem }) => {
  const right = share(name)

  test('is answered with a ciphertext and an X25519 key', async () => {
    const [, reply, newKeys] = await exchange(server.port, { kex: [name], send: [kexInit(right)] })
    expect(reply?.[0]).toBe(MESSAGE.KEX_REPLY)
    expect(readReply(reply!).share).toHaveLength((kem === HYBRIDS.get(MLKEM)!.kem ? 1088 : 1039) + 32)
    expect(newKeys?.[0]).toBe(MESSAGE.NEWKEYS)
  })

  test.each([
    ['empty', Buffer.alloc(0)],
    ['a byte short', right.subarray(1)],
    ['a byte long', Buffer.concat([right, Buffer.alloc(1)])],
    ['an X25519 key alone', right.subarray(-32)],
    ['with an X25519 key of low order', Buffer.concat([right.subarray(0, -32), Buffer.alloc(32)])],
  ])('with a share that is %s: a clean disconnect', async (_what, wrong) => {
    await expectRefused({ kex: [name], send: [kexInit(wrong)] })
  })

  test('with an INIT that is cut short: a clean disconnect', async () => {
    await expectRefused({ kex: [name], send: [kexInit(right).subarray(0, 40)] })
  })

  // first_kex_packet_follows; stock ssh2 takes every guess for wrong, and the client waits for ever.
  test('takes a right guess as the first message of the exchange', async () => {
    const same = await startKexServer({ kex: [name, CURVE] })
    try {
      const [, reply] = await exchange(same.port, { kex: [name], send: [kexInit(right)], guessed: true })
      expect(reply?.[0]).toBe(MESSAGE.KEX_REPLY)
    } finally {
      await same.close()
    }
  })

  test('passes over a wrong guess', async () => {
    const kex = ['unknown@example.org', name]
    const send = [kexInit(Buffer.alloc(5)), kexInit(right)]
    const [, reply] = await exchange(server.port, { kex, send, guessed: true })
    expect(reply?.[0]).toBe(MESSAGE.KEX_REPLY)
  })
})

test('a right guess of a classic exchange is taken too', async () => {
  const classic = await startKexServer({ kex: [CURVE] })
  try {
    const [, reply] = await exchange(classic.port, { kex: [CURVE], send: [kexInit(x25519Key())], guessed: true })
    expect(reply?.[0]).toBe(MESSAGE.KEX_REPLY)
  } finally {
    await classic.close()
  }
})

test('a guess that we support but do not prefer is wrong (RFC 4253, 7)', async () => {
  const send = [kexInit(Buffer.alloc(5)), kexInit(share(SNTRUP))]
  const [, reply] = await exchange(server.port, { kex: [SNTRUP], send, guessed: true })
  expect(reply?.[0]).toBe(MESSAGE.KEX_REPLY)
})

test('an ML-KEM key with a coefficient out of range is refused (FIPS 203, 7.2)', async () => {
  await expectRefused({ kex: [MLKEM], send: [kexInit(Buffer.concat([Buffer.alloc(1184, 0xff), x25519Key()]))] })
})

test('an exchange that we do not have is passed over, and alone it is a clean disconnect', async () => {
  // OpenSSH 10.5 has the first; the second was in it for two weeks.
  const unknown = ['mlkem768nistp256-sha256', 'mlkem768brainpoolp256r1-sha256', 'diffie-hellman-group18-sha512']
  const [, reply] = await exchange(server.port, { kex: [...unknown, CURVE], send: [kexInit(x25519Key())] })
  expect(reply?.[0]).toBe(MESSAGE.KEX_REPLY)
  await expectRefused({ kex: unknown, send: [kexInit(Buffer.alloc(1184 + 65))] })
})

test("the client's order decides", async () => {
  const shareOf = async (kex: readonly string[], sent: Buffer) => {
    const [, reply] = await exchange(server.port, { kex, send: [kexInit(sent)] })
    return reply?.[0] === MESSAGE.KEX_REPLY ? readReply(reply).share.length : undefined
  }
  expect(await shareOf([SNTRUP, MLKEM, CURVE], share(SNTRUP))).toBe(1039 + 32)
  expect(await shareOf([MLKEM, SNTRUP, CURVE], share(MLKEM))).toBe(1088 + 32)
  expect(await shareOf([CURVE, MLKEM, SNTRUP], x25519Key())).toBe(32)
})

test('a server that offers one hybrid and nothing else needs no classic name', async () => {
  const strict = await startKexServer({ kex: [MLKEM] })
  try {
    const [, reply] = await exchange(strict.port, { kex: [CURVE, MLKEM], send: [kexInit(share(MLKEM))] })
    expect(readReply(reply!).share).toHaveLength(1088 + 32)
    const [, refused] = await exchange(strict.port, { kex: [CURVE], send: [kexInit(x25519Key())] })
    expect(refused?.[0]).toBe(MESSAGE.DISCONNECT)
  } finally {
    await strict.close()
  }
})

test('the server offers its list in our order, with strict kex and without group exchange or SHA-1', async () => {
  const [kexinit] = await exchange(server.port, { kex: [MLKEM], send: [kexInit(share(MLKEM))] })
  const names = kexinit!.toString('latin1', 21, 21 + kexinit!.readUInt32BE(17)).split(',')
  expect(names).toEqual([...KEX_ALGORITHMS, 'kex-strict-s-v00@openssh.com'])
  expect(names.filter((name) => /group-exchange|sha1$/.test(name))).toEqual([])
})

describe("ssh2's Client in the same process", () => {
  test('offers and negotiates what it always did', async () => {
    const client = new ssh2.Client()
    const handshake = once(client, 'handshake')
    const closed = once(client, 'close')
    client.on('error', () => {})
    client.connect({ host: '127.0.0.1', port: server.port, username: 'anyone' })
    const [negotiated] = await handshake
    expect(negotiated.kex).toBe('curve25519-sha256@libssh.org')
    client.end()
    await closed
  })

  test('refuses a hybrid in its configuration, as it has none', () => {
    // biome-ignore lint/suspicious/noExplicitAny: a name that ssh2's types do not have
    const kex: any = [MLKEM]
    const connect = () => new ssh2.Client().connect({ host: '127.0.0.1', port: server.port, algorithms: { kex } })
    expect(connect).toThrow(`Unsupported algorithm: ${MLKEM}`)
  })
})

async function expectRefused(client: Parameters<typeof exchange>[1]): Promise<void> {
  const before = server.events.length
  const [, answer, ...more] = await exchange(server.port, client)
  expect(answer?.[0]).toBe(MESSAGE.DISCONNECT)
  expect(answer?.readUInt32BE(1)).toBe(KEY_EXCHANGE_FAILED)
  expect(more).toEqual([])
  const told = server.events.slice(before)
  const connect = told.find((event) => event.type === 'connect')
  const ofThis = () =>
    server.events.filter((event) => 'connectionId' in event && event.connectionId === connect?.connectionId)
  await expect.poll(() => ofThis().map(({ type }) => type)).toEqual(['connect', 'disconnect'])
}

/** A client's share that no honest answer needs to be decrypted for. */
function share(name: string): Buffer {
  const kemKey = name === MLKEM ? Buffer.from(ml_kem768.keygen().publicKey) : Buffer.alloc(1158)
  return Buffer.concat([kemKey, x25519Key()])
}

function x25519Key(): Buffer {
  return generateKeyPairSync('x25519').publicKey.export({ format: 'der', type: 'spki' }).subarray(-32)
}
