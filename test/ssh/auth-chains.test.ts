/** Passwords, keyboard-interactive and chains of methods on the wire: what odd clients may do, and what it costs them. */
import { createPrivateKey, sign } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { Authenticator, Dialogue } from '../../src/ssh/auth.ts'
import type { Field } from '../../src/ssh/packets.ts'
import { connectPeer, fields, Message, type Packet, type Peer, packet } from './peer.ts'
import { createFolder, type Folder, publicBlob, startServer, type TestServer } from './support.ts'

const { USERAUTH_FAILURE, USERAUTH_SUCCESS, USERAUTH_PK_OK: REQUEST_OR_OK, DISCONNECT, UNIMPLEMENTED } = Message

let keys: Folder
let server: TestServer
let peer: Peer
let ended: string[] = []

beforeEach(() => {
  keys = createFolder()
  ended = []
})
afterEach(async () => {
  peer?.close()
  await server?.close()
  keys.remove()
})

/** "alice" has the password "right" and the code "123456"; two devices ask for them, the one without a name for both. */
const alice: Partial<Authenticator<string>> = {
  password: async (password) => (password.equals(Buffer.from('right')) ? 'alice' : undefined),
  keyboardInteractive,
  join: (one, two) => (one === two ? one : undefined),
  proved: (name) => ({ name, fingerprint: '' }),
}

async function* keyboardInteractive(device: string): Dialogue<string> {
  try {
    const wanted = device === 'password' ? ['right'] : device === 'totp' ? ['123456'] : ['right', '123456']
    let right = true
    for (const secret of wanted) {
      const [answer] = yield { instruction: device, prompts: [{ text: `${secret.length}?`, echo: false }] }
      right = right && answer?.toString() === secret
    }
    return right ? 'alice' : undefined
  } finally {
    ended.push(device)
  }
}

async function serve(methods: string, more: Partial<Authenticator<string>> = {}, maxAuthTries = 6): Promise<void> {
  const lists = methods.split(' ').map((list) => list.split(','))
  server = await startServer({
    limits: { maxAuthTries },
    publicKey: async () => 'alice',
    authenticator: { ...alice, methods: () => lists, ...more },
  })
  peer = await connectPeer(server, { authenticate: false, hide: [51, 52, 60] })
}

function send(method: string, ...rest: Field[]): void {
  peer.send(packet(Message.USERAUTH_REQUEST, 'dev@web', 'ssh-connection', method, { raw: fields(...rest) }))
}

async function next(): Promise<string> {
  return tell(await peer.next(USERAUTH_FAILURE, USERAUTH_SUCCESS, REQUEST_OR_OK, DISCONNECT, UNIMPLEMENTED))
}

function tell({ type, reader }: Packet): string {
  if (type === USERAUTH_SUCCESS) return 'success'
  if (type === UNIMPLEMENTED) return 'unimplemented'
  if (type === USERAUTH_FAILURE) return `${reader.text()}${reader.bool() ? ' partial' : ''}`
  if (type === DISCONNECT) return `disconnect ${reader.u32()} ${reader.text()}`
  reader.text()
  const instruction = reader.text()
  reader.text()
  const prompts = Array.from({ length: reader.u32() }, () => `${reader.text()}${reader.bool() ? ' echo' : ''}`)
  return `asks ${instruction}: ${prompts}`
}

const password = (text: string) => send('password', false, text)
const interactive = (devices = '') => send('keyboard-interactive', '', devices)
const answer = (...answers: string[]) => peer.send(packet(Message.USERAUTH_INFO_RESPONSE, answers.length, ...answers))

function signed(file: string): void {
  const blob = publicBlob(file)
  const head = ['dev@web', 'ssh-connection', 'publickey', true, 'ssh-ed25519', blob] as const
  const { _protocol } = peer.client as unknown as { _protocol: { _kex: { sessionID: Buffer } } }
  const data = Buffer.concat([fields(_protocol._kex.sessionID), packet(Message.USERAUTH_REQUEST, ...head)])
  const signature = fields('ssh-ed25519', sign(null, data, ed25519(file)))
  peer.send(packet(Message.USERAUTH_REQUEST, ...head, signature))
}

/** OpenSSH's private key file: the last 64 bytes of its ed25519 key field are seed and point. */
function ed25519(file: string) {
  const body = Buffer.from(readFileSync(file, 'utf8').replaceAll(/-----[^-]+-----|\s/g, ''), 'base64')
  const point = publicBlob(file).subarray(-32)
  const seed = body.subarray(body.lastIndexOf(point) - 32, body.lastIndexOf(point))
  const pkcs8 = Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), seed])
  return createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' })
}

describe('a refusal', () => {
  const told = () => server.events.flatMap((event) => (event.type === 'auth' ? [event.reason] : []))

  test('is told of with its reason, which no later one without any has', async () => {
    let tries = 0
    await serve('password', {
      password: async (_, context) => {
        if (tries++ === 0) context.refused?.('out of paper')
        return undefined
      },
    })
    for (const text of ['one', 'two']) {
      password(text)
      expect(await next()).toBe('password')
    }
    expect(told()).toEqual(['out of paper', undefined])
  })

  test('of somebody who was proved has the sentence that they are told, and who they are', async () => {
    await serve('password', { admit: async () => ({ refusal: 'hatchway: no container "web"' }) })
    password('right')
    expect(await next()).toBe('password')
    expect(told()).toEqual(['hatchway: no container "web"'])
    expect(server.events.at(-1)).toMatchObject({ accepted: false, identity: 'alice', who: { name: 'alice' } })
  })
})

describe('password', () => {
  test('the right one gets in, a wrong one may be tried again', async () => {
    await serve('password')
    password('wrong')
    expect(await next()).toBe('password')
    password('right')
    expect(await next()).toBe('success')
    const events = server.events.flatMap((event) => (event.type === 'auth' ? [event] : []))
    expect(events).toMatchObject([
      { method: 'password', accepted: false, partial: false },
      { method: 'password', accepted: true, partial: false, identity: 'alice' },
    ])
    expect(JSON.stringify(server.events)).not.toMatch(/wrong|right/)
  })

  test('is not looked at when it is to be changed, is too long, or not asked for', async () => {
    const seen = vi.fn(async () => 'alice')
    await serve('password', { password: seen })
    send('password', true, 'right', 'new')
    expect(await next()).toBe('password')
    password('x'.repeat(1025))
    expect(await next()).toBe('password')
    peer.close()
    await server.close()
    await serve('publickey', { password: seen })
    password('right')
    expect(await next()).toBe('publickey')
    expect(seen).not.toHaveBeenCalled()
  })

  test('with bytes behind it ends the connection', async () => {
    await serve('password')
    send('password', false, 'right', 'more')
    expect(await next()).toBe('disconnect 2 packet too long')
  })
})

describe('keyboard-interactive', () => {
  test('asks one thing after the other, and tells nothing before the end', async () => {
    await serve('keyboard-interactive')
    for (const [first, second, end] of [
      ['wrong', '123456', 'keyboard-interactive'],
      ['right', '654321', 'keyboard-interactive'],
      ['right', '123456', 'success'],
    ] as const) {
      interactive()
      expect(await next()).toBe('asks : 5?')
      answer(first)
      expect(await next()).toBe('asks : 6?')
      answer(second)
      expect(await next()).toBe(end)
    }
  })

  test.each([
    ['too many', () => answer('right', 'more')],
    ['none', () => answer()],
    ['fewer than it says', () => peer.send(packet(Message.USERAUTH_INFO_RESPONSE, 1))],
    ['four thousand millions', () => peer.send(packet(Message.USERAUTH_INFO_RESPONSE, 0xffff_ffff, 'right'))],
    ['bytes behind them', () => peer.send(packet(Message.USERAUTH_INFO_RESPONSE, 1, 'right', 'more'))],
  ])('%s of the answers asked for: the connection ends', async (_what, send) => {
    await serve('keyboard-interactive:password')
    interactive()
    await next()
    send()
    expect(await next()).toMatch(/^disconnect 2 /)
    await peer.closed
    await expect.poll(() => ended).toEqual(['password'])
  })

  test('an answer that is too long is wrong', async () => {
    await serve('keyboard-interactive:password')
    interactive()
    await next()
    answer('x'.repeat(2000))
    expect(await next()).toBe('keyboard-interactive')
    expect(ended).toEqual(['password'])
  })

  test('zero questions are a round like any other', async () => {
    await serve('keyboard-interactive', {
      async *keyboardInteractive() {
        const answers = yield { instruction: 'read this', prompts: [] }
        return answers.length === 0 ? 'alice' : undefined
      },
    })
    interactive()
    expect(await next()).toBe('asks read this: ')
    answer()
    expect(await next()).toBe('success')
  })

  test('an answer nobody asked for is not understood, and does no harm', async () => {
    await serve('keyboard-interactive:password')
    answer('right')
    expect(await next()).toBe('unimplemented')
    interactive()
    await next()
    answer('right')
    answer('right')
    expect([await next(), await next()].sort()).toEqual(['success', 'unimplemented'])
  })

  test('another request ends an exchange: its answer comes too late', async () => {
    await serve('keyboard-interactive:password password')
    interactive()
    expect(await next()).toBe('asks password: 5?')
    password('wrong')
    expect(await next()).toBe('keyboard-interactive,password')
    expect(ended).toEqual(['password'])
    answer('right')
    expect(await next()).toBe('unimplemented')
    interactive()
    expect(await next()).toBe('asks password: 5?')
    interactive()
    expect(await next()).toBe('asks password: 5?')
    answer('right')
    expect(await next()).toBe('success')
  })

  test('turning away before the last question counts as a try', async () => {
    await serve('keyboard-interactive', {}, 3)
    for (let i = 0; i < 3; i++) {
      interactive()
      expect(await next()).toBe('asks : 5?')
      answer('wrong')
      expect(await next()).toBe('asks : 6?')
    }
    interactive()
    expect(await next()).toBe('disconnect 2 Too many authentication failures')
  })

  test('turning away before the first answer does not, but a thousand requests are enough', async () => {
    await serve('keyboard-interactive', {}, 3)
    for (let i = 0; i < 1024; i++) {
      interactive()
      expect(await next()).toBe('asks : 5?')
    }
    interactive()
    expect(await next()).toBe('disconnect 2 too many authentication requests')
    await expect.poll(() => ended).toHaveLength(1024)
  })

  test('devices are those of the lists that the client also wants; one that fails gives way to the next', async () => {
    await serve('keyboard-interactive:password keyboard-interactive:totp')
    interactive('pam,totp')
    expect(await next()).toBe('asks totp: 6?')
    answer('wrong')
    expect(await next()).toBe('keyboard-interactive')
    interactive('skey')
    expect(await next()).toBe('keyboard-interactive')
    interactive()
    expect(await next()).toBe('asks password: 5?')
    answer('wrong')
    expect(await next()).toBe('asks totp: 6?')
    answer('123456')
    expect(await next()).toBe('success')
    expect(server.events.at(-1)).toMatchObject({ method: 'keyboard-interactive:totp', accepted: true })
  })

  test('a client that goes away ends the exchange', async () => {
    await serve('keyboard-interactive')
    interactive()
    await next()
    peer.close()
    await expect.poll(() => ended).toEqual([''])
  })
})

describe('chains', () => {
  test('a key, then a password: partial success, and no way around the second', async () => {
    await serve('publickey,password')
    send('none')
    expect(await next()).toBe('publickey')
    password('right')
    expect(await next()).toBe('publickey')
    signed(keys.key('one'))
    expect(await next()).toBe('password partial')
    signed(keys.key('two'))
    expect(await next()).toBe('password')
    password('wrong')
    expect(await next()).toBe('password')
    password('right')
    expect(await next()).toBe('success')
  })

  test('two keys are two keys', async () => {
    await serve('publickey,publickey')
    const [one, two] = [keys.key('one'), keys.key('two')]
    signed(one)
    expect(await next()).toBe('publickey partial')
    send('publickey', false, 'ssh-ed25519', publicBlob(one))
    expect(await next()).toBe('publickey')
    signed(one)
    expect(await next()).toBe('publickey')
    signed(two)
    expect(await next()).toBe('success')
  })

  test('success in part is no failure: MaxAuthTries counts the others', async () => {
    await serve('publickey,password', {}, 2)
    signed(keys.key('one'))
    expect(await next()).toBe('password partial')
    password('wrong')
    expect(await next()).toBe('password')
    password('wrong')
    expect(await next()).toBe('disconnect 2 Too many authentication failures')
  })

  test('both methods must prove the same person', async () => {
    await serve('publickey,password', { password: async () => 'bob' })
    signed(keys.key('one'))
    expect(await next()).toBe('password partial')
    password('right')
    expect(await next()).toBe('password')
  })

  test('before anybody is proved the lists are everybody’s, then they are those of who it is', async () => {
    const everybody = [['password'], ['publickey']]
    const own = [['password', 'keyboard-interactive:totp']]
    await serve('publickey', { methods: (proven) => (proven === 'alice' ? own : everybody) })
    send('none')
    expect(await next()).toBe('password,publickey')
    signed(keys.key('one'))
    expect(await next()).toBe('password,publickey')
    password('right')
    expect(await next()).toBe('keyboard-interactive partial')
    interactive()
    expect(await next()).toBe('asks totp: 6?')
    answer('123456')
    expect(await next()).toBe('success')
  })

  test('refused under this user name: from the beginning', async () => {
    let refusal: string | undefined = 'hatchway: no such container'
    await serve('publickey,password', { admit: async () => (refusal === undefined ? {} : { refusal }) })
    const key = keys.key('one')
    signed(key)
    expect(await next()).toBe('password partial')
    password('right')
    expect(await next()).toBe('publickey')
    refusal = undefined
    password('right')
    expect(await next()).toBe('publickey')
    signed(key)
    expect(await next()).toBe('password partial')
    password('right')
    expect(await next()).toBe('success')
  })

  test('requests sent ahead are answered in their order, each by the state that the one before left', async () => {
    await serve('publickey,password')
    send('none')
    signed(keys.key('one'))
    password('right')
    expect([await next(), await next(), await next()]).toEqual(['publickey', 'password partial', 'success'])
  })
})
