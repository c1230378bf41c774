/**
 * `hatchway connect`: a ProxyCommand that takes ssh to a container by its name, with HTTP CONNECT to the running
 * gateway. If none listens, this process is the gateway of this connection.
 */
import { connect as dial, type Socket } from 'node:net'
import { messageOf } from '../base/errors.ts'
import { CliFailure } from '../control/cli-failure.ts'
import { deadline } from '../lifetime/deadline.ts'
import { parseHost } from '../ssh/preamble/host-name.ts'
import { take } from '../ssh/preamble/take-bytes.ts'

const DIAL_MS = 10_000
const ANSWER_MS = 10_000
const MAX_ANSWER_BYTES = 4 * 1024
const SSH_PORT = 22

export async function connect(
  gateway: { readonly host: string; readonly port: number },
  host: string,
  serveHere: () => Promise<number>,
): Promise<number> {
  if (!('host' in parseHost(host, SSH_PORT))) throw new CliFailure('that is no name of a container', 255)
  const where = `${gateway.host}:${gateway.port}`
  const socket = await open(gateway).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ECONNREFUSED') return undefined
    throw new CliFailure(`cannot reach the gateway at ${where}: ${error.message}`, 255, { cause: error })
  })
  if (!socket) return serveHere()
  socket.on('error', () => socket.destroy())
  socket.write(`CONNECT ${host}:${SSH_PORT} HTTP/1.1\r\nHost: ${host}:${SSH_PORT}\r\n\r\n`)
  const status = await answer(socket).catch((error: unknown) => messageOf(error))
  if (!/^HTTP\/1\.[01] 200 /.test(status)) {
    socket.destroy()
    throw new CliFailure(`what listens at ${where} is no gateway of Hatchway`, 255, { cause: status })
  }
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()))
  process.stdin.pipe(socket).pipe(process.stdout)
  await closed
  return 0
}

function open({ host, port }: { readonly host: string; readonly port: number }): Promise<Socket> {
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
