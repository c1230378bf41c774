/**
 * How a gateway leaves its place: a new one takes the listening sockets over (`hatchway restart`, SIGUSR2), or the service
 * manager has them (`hatchway drain`). This one goes on with the connections that it has.
 */
import type { Gateway } from '../app.ts'
import { messageOf } from '../base/errors.ts'
import type { DrainOutcome, RestartOutcome } from '../control/protocol.ts'
import type { Control } from '../control/server.ts'
import { deferred } from '../lifetime/deferred.ts'
import type { Logger } from '../observe/log.ts'
import type { Inheritance } from '../process/inheritance.ts'
import { type Successor, startSuccessor } from '../process/successor.ts'

export interface HandOver {
  /** One at a time: who asks meanwhile has the same answer. */
  restart(): Promise<RestartOutcome>
  drain(): Promise<DrainOutcome>
  readonly isDraining: boolean
  /** Resolves once this gateway takes no new connections. */
  readonly released: Promise<void>
  readonly successor: Successor | undefined
}

export interface Leaving {
  readonly gateway: Gateway
  readonly control: () => Control | undefined
  readonly inheritance: Inheritance
  /** The gateway was told to stop: no other one takes over. */
  readonly stopping: AbortSignal
}

export function createHandOver({ gateway, control, inheritance, stopping }: Leaving, log: Logger): HandOver {
  const { sockets, addresses, manager } = inheritance
  const isActivated = sockets.length > 0 && addresses === undefined
  const released = deferred()
  let isDraining = false
  let successor: Successor | undefined
  let running: Promise<RestartOutcome> | undefined

  async function handOver(): Promise<RestartOutcome> {
    log.info('a new gateway is started to take over')
    try {
      successor = await started()
    } catch (error) {
      const problem = `the new gateway did not start, and this one goes on: ${messageOf(error)}`
      log.error({ reason: messageOf(error) }, 'the new gateway did not start: this one goes on')
      return { problem, open: gateway.open() }
    }
    const { pid, version } = successor
    await release()
    const open = gateway.open()
    log.info({ successor: pid, version, open }, 'a new gateway has taken over: this one goes on with its connections')
    return { successor: { pid, version }, open }
  }

  async function started(): Promise<Successor> {
    const descriptors = gateway.descriptors()
    const comeBack = control()?.stepAside()
    try {
      const handed = { descriptors, addresses: isActivated ? undefined : gateway.endpoints }
      return await startSuccessor(handed, inheritance, stopping)
    } catch (error) {
      comeBack?.()
      throw error
    }
  }

  async function release(): Promise<void> {
    isDraining = true
    await gateway.stopListening()
    await manager?.leave()
    released.resolve()
  }

  return {
    async restart() {
      if (isDraining || stopping.aborted) return { open: gateway.open() }
      running ??= handOver().finally(() => {
        running = undefined
      })
      return running
    },
    async drain() {
      await running
      if (isDraining) return { open: gateway.open() }
      await release()
      control()?.giveUpName()
      log.info({ open: gateway.open() }, 'no new connections are taken')
      return { open: gateway.open() }
    },
    get isDraining() {
      return isDraining
    },
    released: released.promise,
    get successor() {
      return successor
    },
  }
}
