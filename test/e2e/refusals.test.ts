/**
 * What a stranger can learn from a refusal: nothing, neither by its text nor by its time, over 200 tries of each kind.
 * HATCHWAY_TEST_FIGURES=1 prints the times. Only what no scheduler can spoil is asserted: that each kind's median lies
 * among the times of every other.
 */
import { randomBytes, scryptSync } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { connectPeer, fields, Message, type Peer, packet } from '../ssh/peer.ts'
import { startContainer, type TestContainer } from '../support/containers.ts'
import { type Gateway, startGateway } from '../support/gateway.ts'
import { type Keys, makeKeys } from '../support/ssh.ts'

const TRIES = 200
/** Milliseconds: on a machine with nothing else to do the times lie closer together than its timers. */
const SLACK = 1
/** MaxAuthTries: a new connection after so many. */
const TRIES_EACH = 100

let directory: string
let keys: Keys
let stranger: Keys
let container: TestContainer
let gateway: Gateway

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'hw-test-refusals-'))
  ;[keys, stranger, container] = await Promise.all([makeKeys(), makeKeys(), startContainer('busybox')])
  const salt = randomBytes(16)
  const base64 = (bytes: Buffer) => bytes.toString('base64').replace(/=+$/, '')
  const hash = scryptSync('right', salt, 32, { N: 2 ** 12 })
  writeFileSync(
    join(directory, 'hatchway.yaml'),
    `authenticationMethods: [publickey, password, keyboard-interactive]
limits: { maxAuthTries: ${TRIES_EACH}, perSourcePenalties: 'no' }
users:
  alice:
    passwordHash: '$scrypt$ln=12,r=8,p=1$${base64(salt)}$${base64(hash)}'
    totpSecret: JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP
  carol: { keys: ['${readFileSync(`${keys.ed25519}.pub`, 'utf8').trim()}'] }
`,
  )
  gateway = await startGateway({ keys, engine: 'docker', args: ['--config', join(directory, 'hatchway.yaml')] })
})
afterAll(async () => {
  await gateway?.stop()
  await Promise.all([keys?.close(), stranger?.close(), container?.remove()])
  rmSync(directory, { recursive: true, force: true })
})

interface Try {
  readonly text: string
  readonly milliseconds: number
}

type Attempt = (peer: Peer, user: string) => Promise<Try>

const NAMES: Record<string, () => string> = {
  'a user and a container that are there': () => `alice=dev@${container.name}`,
  'a user who has a key only': () => `carol=dev@${container.name}`,
  'no such user': () => `mallory=dev@${container.name}`,
  'no such container': () => 'alice=dev@no-such-container',
  'no such user inside': () => `alice=nobodyhere@${container.name}`,
  'no user named': () => `dev@${container.name}`,
}

/** Each kind in turn, so that what slows the machine slows all of them. */
async function measure(attempt: Attempt): Promise<Map<string, Try[]>> {
  const results = new Map(Object.keys(NAMES).map((kind) => [kind, [] as Try[]]))
  for (let done = 0; done < TRIES; done += TRIES_EACH - 1) {
    const peers = new Map<string, Peer>()
    const connection = { port: gateway.port, privateKey: readFileSync(keys.ed25519) }
    for (const [kind, user] of Object.entries(NAMES)) {
      const options = { authenticate: false, hide: [51, 52, 60], username: user(), readyTimeout: 0 }
      peers.set(kind, await connectPeer(connection, options))
    }
    for (let i = 0; i < Math.min(TRIES_EACH - 1, TRIES - done); i++) {
      for (const [kind, peer] of peers) results.get(kind)?.push(await attempt(peer, NAMES[kind]?.() ?? ''))
    }
    for (const peer of peers.values()) peer.close()
  }
  return results
}

async function refusal(peer: Peer, sent: Buffer): Promise<Try> {
  const began = performance.now()
  peer.send(sent)
  const { type, reader } = await peer.next(Message.USERAUTH_FAILURE, Message.USERAUTH_SUCCESS, Message.USERAUTH_PK_OK)
  const milliseconds = performance.now() - began
  return { text: `${type} ${reader.text()}`, milliseconds }
}

function request(user: string, method: string, ...rest: readonly (string | boolean | Buffer)[]): Buffer {
  return packet(Message.USERAUTH_REQUEST, user, 'ssh-connection', method, { raw: fields(...rest) })
}

const ATTEMPTS: Record<string, Attempt> = {
  'a wrong password': (peer, user) => refusal(peer, request(user, 'password', false, 'wrong')),
  'an unknown key': (peer, user) => {
    const [, blob = ''] = readFileSync(`${stranger.ed25519}.pub`, 'utf8').split(' ')
    return refusal(peer, request(user, 'publickey', false, 'ssh-ed25519', Buffer.from(blob, 'base64')))
  },
  'a wrong password and a code': async (peer, user) => {
    peer.send(request(user, 'keyboard-interactive', '', ''))
    await peer.next(Message.USERAUTH_INFO_REQUEST)
    const began = performance.now()
    peer.send(packet(Message.USERAUTH_INFO_RESPONSE, 1, 'wrong'))
    const { reader } = await peer.next(Message.USERAUTH_INFO_REQUEST)
    const first = performance.now() - began
    const second = await refusal(peer, packet(Message.USERAUTH_INFO_RESPONSE, 1, '123456'))
    const asked = [reader.text(), reader.text(), reader.text(), reader.u32(), reader.text()].join('|')
    return { text: `${asked} ${second.text}`, milliseconds: first + second.milliseconds }
  },
}

function quantile(tries: readonly Try[], q: number): number {
  const sorted = tries.map(({ milliseconds }) => milliseconds).sort((a, b) => a - b)
  return sorted[Math.floor(q * (sorted.length - 1))] ?? Number.NaN
}

describe.each(Object.entries(ATTEMPTS))('%s', (name, attempt) => {
  let results: Map<string, Try[]>
  beforeAll(async () => {
    results = await measure(attempt)
    if (process.env.HATCHWAY_TEST_FIGURES) {
      console.log(name)
      const shown = [...results].map(([kind, tries]) => [
        kind,
        [0.05, 0.25, 0.5, 0.75, 0.95].map((q) => quantile(tries, q).toFixed(2)).join('  '),
      ])
      console.table(Object.fromEntries(shown))
    }
  }, 300_000)

  test('is refused with one text, whoever and whatever was asked for', () => {
    const texts = [...results.values()].flatMap((tries) => tries.map(({ text }) => text))
    expect(texts).toHaveLength(TRIES * Object.keys(NAMES).length)
    expect([...new Set(texts)]).toHaveLength(1)
  })

  test('takes as long, whoever and whatever was asked for', () => {
    for (const [kind, tries] of results) {
      for (const [other, others] of results) {
        const median = quantile(tries, 0.5)
        expect(median, `${kind}: not slower than ${other}`).toBeLessThan(quantile(others, 0.95) + SLACK)
        expect(median, `${kind}: not faster than ${other}`).toBeGreaterThan(quantile(others, 0.05) - SLACK)
      }
    }
  })
})
