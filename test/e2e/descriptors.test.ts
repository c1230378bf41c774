/** A gateway that runs out of file descriptors says so, to its log and to who connects, and blames nobody. */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { connectPeer, Message, packet } from '../ssh/peer.ts'
import { publicBlob } from '../ssh/support.ts'
import { startContainer, type TestContainer } from '../support/containers.ts'
import { type Gateway, startGateway } from '../support/gateway.ts'
import { type Keys, makeKeys, makeSshClient, type SshClient } from '../support/ssh.ts'
import { until } from '../support/wait.ts'

const LIMIT = 80

let keys: Keys
let container: TestContainer
let gateway: Gateway
let client: SshClient
const sockets: Socket[] = []

beforeAll(async () => {
  ;[keys, container] = await Promise.all([makeKeys(), startContainer('busybox')])
  gateway = await startGateway({
    keys,
    engine: 'docker',
    limits: [`--nofile=${LIMIT}`],
    env: {
      HATCHWAY_LIMITS_MAX_STARTUPS: '1000',
      HATCHWAY_LIMITS_PER_SOURCE_PENALTY_EXEMPT_LIST: '192.0.2.0/24',
      HATCHWAY_LOG_LEVEL: 'debug',
    },
  })
  client = await makeSshClient(gateway.target(`dev@${container.name}`))
})
afterEach(() => {
  for (const socket of sockets.splice(0)) socket.destroy()
})
afterAll(async () => {
  await client?.close()
  await gateway?.stop()
  await Promise.all([keys?.close(), container?.remove()])
})

interface Line {
  readonly level: string
  readonly msg: string
  readonly code?: string
  readonly reason?: string
  readonly detail?: string
  readonly source?: string
}

function lines(): Line[] {
  return gateway
    .log()
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line): Line => JSON.parse(line))
}

/** What each of `count` connections is told first. From an address of their own: they do not log in, and that is counted. */
function dial(count: number): Promise<string>[] {
  return Array.from({ length: count }, () => {
    const socket = connect({ port: gateway.port, host: gateway.host, localAddress: '127.0.0.9' })
    sockets.push(socket)
    return new Promise((resolve) => {
      socket.on('error', () => {})
      socket.once('data', (bytes) => resolve(bytes.toString().trim())).once('close', () => resolve(''))
    })
  })
}

test('the last descriptors are for who is in; who comes then is told, and so is the log, once', async () => {
  const inside = client.exec('sleep 1; id -un')
  await until('a session is there', async () => lines().some(({ msg }) => msg === 'session started'))
  const told = await Promise.all(dial(LIMIT))
  expect(new Set(told)).toEqual(
    new Set(['SSH-2.0-OpenSSH_compatible_Hatchway', 'The gateway has no file descriptors left; try again later']),
  )
  expect((await inside).stdout.toString()).toBe('dev\n')
  const said = () => lines().filter(({ level, reason }) => level === 'error' && reason === 'descriptors')
  await until('a line', () => said().length > 0)
  expect(said()).toEqual([
    expect.objectContaining({
      msg: 'connection dropped',
      detail: expect.stringMatching(`of ${LIMIT} file descriptors are in use: raise the limit`),
    }),
  ])
  for (const socket of sockets.splice(0)) socket.destroy()
  await until('somebody is let in again', async () => (await client.exec('true')).code === 0)
})

test('a valid key is not refused where its file cannot be opened, and nobody is penalised', async () => {
  const options = { authenticate: false, username: `dev@${container.name}` }
  const target = { port: gateway.port, privateKey: readFileSync(keys.ed25519) }
  const blob = publicBlob(keys.ed25519)
  const query = packet(
    Message.USERAUTH_REQUEST,
    ...[options.username, 'ssh-connection', 'publickey', false, 'ssh-ed25519', blob],
  )
  const peer = await connectPeer(target, options)
  const limit = (soft: number) => execFileSync('prlimit', ['--pid', String(gateway.pid), `--nofile=${soft}:${LIMIT}`])
  limit(3)
  try {
    peer.send(query)
    const { type, reader } = await peer.next(Message.DISCONNECT, Message.USERAUTH_FAILURE, Message.USERAUTH_PK_OK)
    expect([type, reader.u32(), reader.text()]).toEqual([
      Message.DISCONNECT,
      7,
      'the gateway cannot check any login at the moment; try again later',
    ])
    await peer.closed
  } finally {
    limit(LIMIT)
  }
  const after = await connectPeer(target, options)
  after.send(query)
  expect((await after.next(Message.USERAUTH_FAILURE, Message.USERAUTH_PK_OK)).type).toBe(Message.USERAUTH_PK_OK)
  after.close()
  const line = await until('a line', () => lines().find(({ code }) => code === 'LOGIN_UNDECIDED'))
  expect(line).toMatchObject({
    level: 'error',
    reason: expect.stringMatching(`${keys.authorized}: EMFILE: too many open files`),
  })
  expect(lines().filter(({ source }) => source?.startsWith('127.0.0.1/'))).toEqual([])
})
