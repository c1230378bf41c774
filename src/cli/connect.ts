/**
 * `hatchway connect`: a ProxyCommand that takes ssh to a container by its name, with HTTP CONNECT to the person's own
 * running gateway, at whatever port. If none runs, this process is the gateway of this connection. Whatever else listens
 * at a gateway's usual port (Vagrant, another person's gateway) is not asked: ssh would see a host key that is not ours.
 */
import { connect as dial, type Socket } from 'node:net'
import { messageOf } from '../base/errors.ts'
import { CliFailure } from '../control/cli-failure.ts'
import { runningGateways } from '../control/running.ts'
import { deadline } from '../lifetime/deadline.ts'
import { parseHost } from '../ssh/preamble/host-name.ts'
import { take } from '../ssh/preamble/take-bytes.ts'
import { readPinned } from './pinned-keys.ts'

const DIAL_MS = 10_000
const ANSWER_MS = 10_000
const MAX_ANSWER_BYTES = 4 * 1024
const SSH_PORT = 22

interface Address {
  readonly host: string
  readonly port: number
}

export interface Gateways {
  /** Of several of the person's own the first to be asked; without `knownHosts` the one that is asked, whoever's it is. */
  readonly gateway: Address | undefined
  /** Has the host keys of the gateway that is meant. */
  readonly knownHosts: string | undefined
  readonly controlSocket: string | undefined
}

export async function connect(gateways: Gateways, host: string, serveHere: () => Promise<number>): Promise<number> {
  if (!('host' in parseHost(host, SSH_PORT))) throw new CliFailure('that is no name of a container', 255)
  const socket =
    gateways.knownHosts === undefined
      ? gateways.gateway && (await reach(gateways.gateway, host))
      : await reachOwn(gateways, gateways.knownHosts, host)
  if (!socket) return serveHere()
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()))
  process.stdin.pipe(socket).pipe(process.stdout)
  await closed
  return 0
}

/** A gateway of this person's with a key that ssh expects; one that goes meanwhile is none. */
async function reachOwn({ gateway, controlSocket }: Gateways, knownHosts: string, host: string) {
  const [isPinned, running] = await Promise.all([readPinned(knownHosts), runningGateways(controlSocket)])
  const own = running.filter(({ hostKeys }) => isPinned(hostKeys))
  const isFirst = (address: Address) => address.port === gateway?.port
  for (const address of own
    .flatMap(({ endpoints }) => endpoints)
    .sort((a, b) => Number(isFirst(b)) - Number(isFirst(a)))) {
    const socket = await reach(address, host).catch(() => undefined)
    if (socket) return socket
  }
  return undefined
}

/** Undefined: nobody listens there. @throws CliFailure */
async function reach(gateway: Address, host: string): Promise<Socket | undefined> {
  const where = `${gateway.host}:${gateway.port}`
  const socket = await open(gateway).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ECONNREFUSED') return undefined
    throw new CliFailure(`cannot reach the gateway at ${where}: ${error.message}`, 255, { cause: error })
  })
  if (!socket) return undefined
  socket.on('error', () => socket.destroy())
  socket.write(`CONNECT ${host}:${SSH_PORT} HTTP/1.1\r\nHost: ${host}:${SSH_PORT}\r\n\r\n`)
  const status = await answer(socket).catch((error: unknown) => messageOf(error))
  if (/^HTTP\/1\.[01] 200 /.test(status)) return socket
  socket.destroy()
  throw new CliFailure(`what listens at ${where} is no gateway of Hatchway`, 255, { cause: status })
}

function open({ host, port }: Address): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = dial({ host, port, noDelay: true, allowHalfOpen: true })
    // Not the option `signal`: it would end the connection also after it was made.
    const timer = setTimeout(() => socket.destroy(new Error(`no answer within ${DIAL_MS} ms`)), DIAL_MS)
    socket.once('error', (error) => {
      clearTimeout(timer)
      reject(error)
    })
    socket.once('connect', () => {
      clearTimeout(timer)
      resolve(socket)
    })
  })
}

/** Returns the head of the response; what follows is SSH, and stays in the socket. */
async function answer(socket: Socket): Promise<string> {
  const head = await take(
    socket,
    (bytes) => {
      const end = bytes.indexOf('\r\n\r\n')
      if (end < 0 && bytes.length < MAX_ANSWER_BYTES) return { need: bytes.length + 1 }
      return { taken: end < 0 ? bytes.length : end + 4 }
    },
    deadline({
      ms: ANSWER_MS,
      reason: () => new CliFailure('the gateway takes the connection and does not answer', 255),
    }),
  )
  return head.toString('latin1')
}
