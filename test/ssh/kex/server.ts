/** ssh2's own Server with the layer on, for lists of exchanges that ours does not offer; nobody gets in. */
import { once } from 'node:events'
import { createRequire } from 'node:module'
import type * as Ssh2 from 'ssh2'
import { HYBRIDS } from '../../../src/ssh/kex/algorithms.ts'
import { installPostQuantumKex } from '../../../src/ssh/kex/install.ts'

installPostQuantumKex()
const load = createRequire(import.meta.url)
export const ssh2: typeof Ssh2 = load('ssh2')
/** What ssh2's own Server and Client may be configured with. Ours gives its offer to the protocol, past this list. */
const { SUPPORTED_KEX }: { readonly SUPPORTED_KEX: string[] } = load('ssh2/lib/protocol/constants.js')

export interface KexServer {
  readonly port: number
  /** What ended connections that did not end well. */
  readonly errors: readonly Error[]
  close(): Promise<void>
}

export async function startKexServer({ kex }: { readonly kex: readonly string[] }): Promise<KexServer> {
  const errors: Error[] = []
  const clients = new Set<Ssh2.Connection>()
  const hostKey = ssh2.utils.generateKeyPairSync('ed25519').private
  SUPPORTED_KEX.push(...HYBRIDS.keys())
  const server = new ssh2.Server({ hostKeys: [hostKey], algorithms: { kex: kex as Ssh2.KexAlgorithm[] } }, (client) => {
    clients.add(client)
    client.on('error', (error) => errors.push(error))
    client.on('close', () => clients.delete(client))
    client.on('authentication', (context) => context.reject())
  })
  SUPPORTED_KEX.splice(-HYBRIDS.size)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (typeof address !== 'object' || !address) throw new Error('the server has no port')
  return {
    port: address.port,
    errors,
    close: async () => {
      for (const client of clients) client.end()
      server.close()
      await once(server, 'close')
    },
  }
}
