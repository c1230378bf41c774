/** The addresses of the configuration, or sockets that were handed over, become listening ones. */
import type { Identity } from '../auth/identity.ts'
import { HatchwayError, messageOf } from '../base/errors.ts'
import { listenAdvice } from '../base/listen-advice.ts'
import type { Config } from '../config/schema.ts'
import { type Inheritance, socketsFor } from '../process/inheritance.ts'
import type { Endpoint } from '../ssh/connection.ts'
import type { SshServer } from '../ssh/server.ts'

/** Sockets that listen already. Without addresses they are all, and the configuration's do not count. */
export type InheritedSockets = Pick<Inheritance, 'sockets' | 'addresses'>

/** @throws HatchwayError CONFIG_INVALID */
export async function listenOn(
  server: SshServer<Identity>,
  addresses: Config['listen'],
  nextPorts: number,
  inherited: InheritedSockets,
): Promise<Endpoint[]> {
  const endpoints: Endpoint[] = []
  if (inherited.sockets.length > 0 && inherited.addresses === undefined) {
    for (const descriptor of inherited.sockets) endpoints.push(await adopt(server, descriptor))
    return endpoints
  }
  const sockets = await socketsFor(addresses, inherited, nextPorts)
  for (const [index, { host, port }] of addresses.entries()) {
    const descriptor = sockets[index]
    endpoints.push(
      descriptor === undefined
        ? await listenNear(server, host, port, port + nextPorts)
        : await adopt(server, descriptor),
    )
  }
  return endpoints
}

async function adopt(server: SshServer<Identity>, descriptor: number): Promise<Endpoint> {
  try {
    return await server.adopt(descriptor)
  } catch (error) {
    const sentence = `the socket that was handed over (descriptor ${descriptor}) cannot be used: ${messageOf(error)}`
    throw new HatchwayError('CONFIG_INVALID', sentence, { cause: error })
  }
}

async function listenNear(server: SshServer<Identity>, host: string, port: number, last: number): Promise<Endpoint> {
  try {
    return await server.listen(host, port)
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : undefined
    if (code === 'EADDRINUSE' && port < last) return listenNear(server, host, port + 1, last)
    const advice = listenAdvice(code, port)
    throw new HatchwayError('CONFIG_INVALID', `cannot listen: ${messageOf(error)}: ${advice}`, { cause: error })
  }
}
