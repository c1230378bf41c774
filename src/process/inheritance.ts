/**
 * What a gateway is started with besides its arguments: listening sockets of the gateway before it, or of the service
 * manager (sd_listen_fds(3)), and lines on which it says how far it is. Descriptors come from 3 on: lines, then sockets.
 */

import { lookup } from 'node:dns/promises'
import { closeSync } from 'node:fs'
import { Socket } from 'node:net'
import { createServiceManager, type ServiceManager } from './service-manager.ts'
import { type Word, wordLine } from './words.ts'

const FIRST_DESCRIPTOR = 3
const HAND_OVER = 'HATCHWAY_HAND_OVER'

export interface SocketAddress {
  readonly address: string
  readonly port: number
}

/** What the gateway before says of the descriptors, in one variable of the environment. */
interface HandedOver {
  /** Of each socket. Absent: they are the service manager's, and what `listen` says does not count. */
  readonly addresses?: readonly SocketAddress[]
  readonly sockets: number
  /** The first leads to the gateway before, the last to the first gateway of all. */
  readonly lines: number
  /** That first gateway waits for the others, as somebody waits for it. */
  readonly root: boolean
}

export interface Inheritance {
  /** Descriptors of listening sockets. */
  readonly sockets: readonly number[]
  readonly addresses?: readonly SocketAddress[]
  /** By a gateway that runs: its control socket's name is to be taken over, too. */
  readonly isSuccessor: boolean
  /** To the process that somebody waits for, which is another one. */
  readonly rootLine?: number
  readonly manager?: ServiceManager
  /** Never throws: who is told may be gone. */
  say(word: Word): Promise<void>
}

/** Reads and removes the variables: programs that the gateway starts have no use for them. */
export function takeInheritance(env: NodeJS.ProcessEnv): Inheritance {
  const { LISTEN_PID, LISTEN_FDS, NOTIFY_SOCKET, [HAND_OVER]: text } = env
  for (const name of ['LISTEN_PID', 'LISTEN_FDS', 'LISTEN_FDNAMES', 'NOTIFY_SOCKET', HAND_OVER]) delete env[name]
  const manager = NOTIFY_SOCKET ? { manager: createServiceManager(NOTIFY_SOCKET) } : {}
  if (text === undefined) {
    const count = LISTEN_PID === String(process.pid) ? Number(LISTEN_FDS) || 0 : 0
    return { ...manager, sockets: from(FIRST_DESCRIPTOR, count), isSuccessor: false, say: async () => {} }
  }
  const { addresses, sockets: count, lines: lineCount, root }: HandedOver = JSON.parse(text)
  const descriptors = from(FIRST_DESCRIPTOR, lineCount)
  const lines = descriptors.map((fd) => {
    const line = new Socket({ fd, readable: false, writable: true })
    line.on('error', () => {})
    line.unref()
    return line
  })
  const rootLine = root ? descriptors.at(-1) : undefined
  return {
    ...manager,
    sockets: from(FIRST_DESCRIPTOR + lineCount, count),
    ...(addresses && { addresses }),
    isSuccessor: true,
    ...(rootLine !== undefined && { rootLine }),
    say: async (word) => {
      const text = wordLine(word)
      await Promise.all(lines.map((line) => new Promise<void>((resolve) => line.write(text, () => resolve()))))
    },
  }
}

export function handOverVariable(handedOver: HandedOver): NodeJS.ProcessEnv {
  return { [HAND_OVER]: JSON.stringify(handedOver) }
}

export interface Wanted {
  readonly host: string
  readonly port: number
}

/**
 * Which inherited socket is which address of the configuration, in its order. Those of no address any more are closed.
 * `nextPorts`: where the usual port was another program's, the gateway before may listen at a later one.
 */
export async function socketsFor(
  wanted: readonly Wanted[],
  { sockets, addresses = [] }: Pick<Inheritance, 'sockets' | 'addresses'>,
  nextPorts: number,
): Promise<(number | undefined)[]> {
  const left = new Map(sockets.map((descriptor, index) => [descriptor, addresses[index]]))
  const found: (number | undefined)[] = []
  for (const { host, port } of wanted) {
    const resolved = left.size === 0 ? undefined : await lookup(host).catch(() => undefined)
    const fits = (at: SocketAddress | undefined) =>
      at?.address === resolved?.address && at !== undefined && isPort(at.port, port, nextPorts)
    const [descriptor] = [...left].find(([, at]) => fits(at)) ?? []
    found.push(descriptor)
    if (descriptor !== undefined) left.delete(descriptor)
  }
  for (const descriptor of left.keys()) closeSync(descriptor)
  return found
}

function isPort(port: number, wanted: number, nextPorts: number): boolean {
  return wanted === 0 || (port >= wanted && port <= wanted + nextPorts)
}

function from(first: number, count: number): number[] {
  return Array.from({ length: count }, (_, index) => first + index)
}
