/** A small ssh2 server with the layer on, for what the key exchange promises: lets anyone in, and runs two commands. */
import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { createRequire } from 'node:module'
import type * as Ssh2 from 'ssh2'
import { HYBRIDS, KEX_ALGORITHMS } from '../../../src/ssh/kex/algorithms.ts'
import { installPostQuantumKex } from '../../../src/ssh/kex/install.ts'

installPostQuantumKex()
const load = createRequire(import.meta.url)
export const ssh2: typeof Ssh2 = load('ssh2')
/** What ssh2's own Server and Client may be configured with. Ours gives its offer to the protocol, past this list. */
const { SUPPORTED_KEX }: { readonly SUPPORTED_KEX: string[] } = load('ssh2/lib/protocol/constants.js')

export interface KexServer {
  readonly port: number
  /** Of every exchange that was finished, rekeys as well. */
  readonly negotiated: readonly string[]
  /** What ended connections that did not end well. */
  readonly errors: readonly Error[]
  close(): Promise<void>
}

/** `rekeyEvery`: milliseconds between exchanges that the server asks for. Command "cat" echoes; others print themselves. */
export async function startKexServer({
  kex = KEX_ALGORITHMS,
  rekeyEvery,
}: {
  readonly kex?: readonly string[]
  readonly rekeyEvery?: number
} = {}): Promise<KexServer> {
  const negotiated: string[] = []
  const errors: Error[] = []
  const clients = new Set<Ssh2.Connection>()
  const hostKey = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'pem', type: 'sec1' })
  SUPPORTED_KEX.push(...HYBRIDS.keys())
  const server = new ssh2.Server({ hostKeys: [hostKey], algorithms: { kex: kex as Ssh2.KexAlgorithm[] } }, (client) => {
    clients.add(client)
    let timer: NodeJS.Timeout | undefined
    client.on('ready', () => {
      if (rekeyEvery !== undefined) timer = setInterval(() => client.rekey(), rekeyEvery)
    })
    client.on('handshake', (result) => negotiated.push(result.kex))
    client.on('error', (error) => errors.push(error))
    client.on('close', () => {
      clearInterval(timer)
      clients.delete(client)
    })
    client.on('authentication', (context) => context.accept())
    client.on('session', (accept) => {
      accept().on('exec', (acceptExec, _reject, { command }) => {
        const channel = acceptExec()
        channel.on('error', (error: Error) => errors.push(error))
        const end = () => {
          channel.exit(0)
          channel.end()
        }
        if (command === 'cat') {
          channel.pipe(channel, { end: false })
          channel.on('end', end)
        } else {
          channel.write(command, end)
          channel.resume()
        }
      })
    })
  })
  SUPPORTED_KEX.splice(-HYBRIDS.size)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (typeof address !== 'object' || !address) throw new Error('the server has no port')
  return {
    port: address.port,
    negotiated,
    errors,
    close: async () => {
      for (const client of clients) client.end()
      server.close()
      await once(server, 'close')
    },
  }
}
