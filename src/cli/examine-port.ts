/** Is the port to listen on free, and if not, whose is it? */
import { createServer, connect as open } from 'node:net'
import { at } from '../base/connection-facts.ts'
import { listenAdvice } from '../base/listen-advice.ts'
import { isUsualAddress, type LoadedConfig } from '../config/load.ts'
import { runningGateways, silentGateways } from '../control/running.ts'
import { deadline } from '../lifetime/deadline.ts'
import { onAbort } from '../lifetime/on-abort.ts'
import { GREETING } from '../ssh/greeting.ts'
import type { Finding } from './finding.ts'

const GREETING_MS = 3_000

interface ListenAddress {
  readonly host: string
  readonly port: number
}

export async function examinePort(address: ListenAddress, loaded: LoadedConfig): Promise<Finding> {
  const check = 'port'
  const where = at({ address: address.host, port: address.port })
  const problem = await tryToListen(address)
  if (problem === undefined) return { check, state: 'ok', found: `${where} is free` }
  if (problem === 'EADDRINUSE') {
    const gateways = await runningGateways(loaded.config.controlSocket)
    const ours = gateways.find(({ endpoints }) => endpoints.some((endpoint) => endpoint.port === address.port))
    if (ours) return { check, state: 'ok', found: `${where} is where your gateway listens (pid ${ours.pid})` }
    const silent = await silentGateways(loaded.config.controlSocket)
    if (silent.length > 0) {
      const found = `${where} is taken, perhaps by a gateway of yours that does not answer: ${silent.join(', ')}`
      return { check, state: 'warn', found, advice: 'end that one by its pid, or choose another port with --listen' }
    }
    if (isUsualAddress(loaded)) {
      // Where serve has gone on to the next one already.
      const [elsewhere] = gateways.flatMap(({ pid, endpoints }) =>
        endpoints
          .filter(({ host }) => host === address.host)
          .map(({ host, port }) => `${at({ address: host, port })} (pid ${pid})`),
      )
      const next =
        elsewhere === undefined ? 'serve takes the next one that is free' : `your gateway listens at ${elsewhere}`
      return { check, state: 'ok', found: `${where} is another program's: ${next}` }
    }
    if (await isGateway(address)) {
      const found = `${where} is where a gateway listens that you may not ask`
      const advice = 'look as root or as the user who runs it; for one of your own choose another port with --listen'
      return { check, state: 'warn', found, advice }
    }
  }
  return { check, state: 'fail', found: `${where}: ${problem}`, advice: listenAdvice(problem, address.port) }
}

function tryToListen({ host, port }: ListenAddress): Promise<string | undefined> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message))
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(undefined)))
  })
}

/** A gateway says what it is, once its client has said what that is. */
function isGateway({ host, port }: ListenAddress): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = open({ host, port }, () => socket.write('SSH-2.0-hatchway_doctor\r\n'))
    let heard = ''
    const done = () => {
      resolve(heard.startsWith(GREETING))
      stay()
      socket.destroy()
    }
    const stay = onAbort(deadline(GREETING_MS), done)
    socket.on('data', (chunk: Buffer) => {
      heard += chunk.toString('latin1')
      if (heard.length >= GREETING.length) done()
    })
    socket.on('error', done)
    socket.on('close', done)
  })
}
