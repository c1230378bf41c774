/** What ran inside is in the log, whatever else its client does to hide it. */
import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { connectPeer, fields, HIDE_CHANNELS, Message, openSession, type Peer, packet } from '../ssh/peer.ts'
import { startContainer, type TestContainer, testMark } from '../support/containers.ts'
import { type Gateway, startGateway } from '../support/gateway.ts'
import { type Keys, makeKeys } from '../support/ssh.ts'
import { sleep, until } from '../support/wait.ts'

/** A connection has lines for a thousand at once, and fifty more a second: on a slow machine it takes more to be over that. */
const MOST_REFUSALS = 8000
/** The gateway keeps 256 requests of a client's. */
const AT_ONCE = 200

let keys: Keys
let container: TestContainer
let gateway: Gateway

beforeAll(async () => {
  ;[keys, container] = await Promise.all([makeKeys(), startContainer('busybox')])
  gateway = await startGateway({ keys, engine: 'docker', env: { HATCHWAY_LOG_COMMANDS: 'true' } })
})
afterAll(async () => {
  await gateway?.stop()
  await Promise.all([keys?.close(), container?.remove()])
})

function connect(to: Gateway): Promise<Peer> {
  const { port, key, user } = to.target(`dev@${container.name}`)
  return connectPeer({ port, privateKey: readFileSync(key) }, { username: user, hide: HIDE_CHANNELS })
}

interface Line {
  readonly msg: string
  readonly session?: string
  readonly start?: string
  readonly command?: string
  readonly code?: string
}

function lines(of: Gateway): Line[] {
  const texts = of.log().split('\n')
  return texts.filter((text) => text.startsWith('{')).map((text): Line => JSON.parse(text))
}

test('being refused often does not hide it', async () => {
  const peer = await connect(gateway)
  const refused = packet(Message.GLOBAL_REQUEST, 'streamlocal-forward@openssh.com', true, {
    raw: fields('/no/such/directory/socket'),
  })
  const of = (wanted: string) => lines(gateway).filter(({ msg }) => msg === wanted)
  let sent = 0
  do {
    for (let i = 0; i < AT_ONCE; i++) peer.send(refused)
    for (let i = 0; i < AT_ONCE; i++) await peer.next(Message.REQUEST_FAILURE)
    sent += AT_ONCE
  } while (sent < MOST_REFUSALS && of('lines of this connection were left out').length === 0)
  const mark = testMark()
  const channel = await openSession(peer)
  channel.request('exec', true, fields(`echo ${mark}`))
  await peer.next(Message.CHANNEL_CLOSE)
  const session = () => of('session started').find(({ command }) => command === `echo ${mark}`)?.session
  await until('the session in the log', () => session() !== undefined)
  await until('its end, too', () => of('session ended').some((line) => line.session === session()))
  expect(of('lines of this connection were left out')).not.toEqual([])
  peer.close()
}, 120_000)

test('leaving before it has started does not hide it', async () => {
  // An exec takes the engine long enough to leave meanwhile, and runs.
  const plain = await startGateway({ keys, engine: 'docker', guest: 'off', env: { HATCHWAY_LOG_COMMANDS: 'true' } })
  try {
    const peer = await connect(plain)
    for (let i = 0; i < 5; i++) {
      const channel = await openSession(peer)
      channel.request('exec', false, fields('echo hidden'))
      await sleep(20)
      peer.send(packet(Message.CHANNEL_CLOSE, channel.id))
      await peer.next(Message.CHANNEL_CLOSE)
    }
    const gone = () => lines(plain).filter(({ code, session }) => code === 'CLIENT_GONE' && session !== undefined)
    await until('lines about them', () => gone().length > 0)
    for (const { session } of gone()) {
      // By the line of its start if it has started, else by the line of its end, which has a "start" in either case.
      const told = lines(plain).filter((line) => line.session === session && line.command !== undefined)
      expect(told).toEqual([expect.objectContaining({ start: 'exec', command: 'echo hidden' })])
    }
    peer.close()
  } finally {
    await plain.stop()
  }
})
