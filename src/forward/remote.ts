/**
 * -R: a listener inside, for as long as its connection lives. A client is told once that it listens and asks no more, so
 * one that went with its helper or with its container's run is opened again at the same place. Where that cannot be, the
 * connection ends with a sentence, as one to an sshd inside would have: whoever watches over the client (autossh, systemd)
 * connects again.
 */

import { setImmediate } from 'node:timers/promises'
import type { Logger } from 'pino'
import { placeFields } from '../base/connection-facts.ts'
import { asHatchwayError, type FailureCode, HatchwayError, isFailure } from '../base/errors.ts'
import { clientText } from '../base/printable.ts'
import type { Target } from '../container/containers.ts'
import { type Guest, type GuestBind, type GuestListener, GuestRefusal } from '../guest/guest.ts'
import { type Backoff, createBackoff } from '../lifetime/backoff.ts'
import { isTimeout, withDeadline } from '../lifetime/deadline.ts'
import { onAbort } from '../lifetime/on-abort.ts'
import type { Action } from '../policy/request.ts'
import type { ConnectionHandlers, Endpoint, ForwardBind, SshConnection } from '../ssh/connection.ts'
import { type BindSettings, bindInside, boundAddress } from './bind.ts'
import { forwardFacts } from './book.ts'
import type { DirectDependencies } from './direct.ts'
import { createInlet } from './join.ts'
import { NO_HELPER, placeName } from './words.ts'

export interface RemoteForwardLimits {
  /** For the helper to listen. What comes before (an image's pull, a start, a delivery) has limits of its own. */
  readonly listenMs: number
  /** For a lost listener to be there again: a container that is restarted is back by then. */
  readonly reopenMs: number
  /** Between attempts at that; one that comes after so long a calm is not kept waiting. */
  readonly firstPauseMs: number
  readonly longestPauseMs: number
  readonly calmMs: number
}

const LIMITS: RemoteForwardLimits = {
  listenMs: 30_000,
  reopenMs: 30_000,
  firstPauseMs: 200,
  longestPauseMs: 2000,
  calmMs: 60_000,
}

export interface RemoteForwardDependencies extends Omit<DirectDependencies, 'engine'> {
  readonly log: Logger
  readonly connection: Pick<SshConnection<unknown>, 'closed' | 'disconnect' | 'openForwarded'>
  readonly binds: BindSettings
  /**
   * That very container as it is now, running, after the policy said yes again; nothing is started. @throws HatchwayError
   */
  readonly again: (action: Action, lost: Target, signal: AbortSignal) => Promise<Target>
  readonly limits?: RemoteForwardLimits
}

/** What no waiting changes. A container that was made anew under the same name is another one. */
const FINAL: readonly FailureCode[] = ['CONTAINER_NOT_FOUND', 'NOT_PERMITTED']

interface RemoteForward {
  readonly asked: ForwardBind
  /** Cancelled, withdrawn, or the connection gone. */
  readonly over: AbortController
  /** Where it listened first, which its client knows; undefined: nowhere yet. */
  bound?: ForwardBind
}

interface Listening {
  readonly target: Target
  readonly listener: GuestListener
}

export function remoteForwards(
  deps: RemoteForwardDependencies,
): Required<Pick<ConnectionHandlers, 'forward' | 'cancelForward'>> {
  const { connection, log, binds, book, limits = LIMITS } = deps
  /** By their names: how to end one; nobody can connect any more when that resolves. */
  const kept = new Map<string, () => Promise<void>>()

  async function listen(forward: RemoteForward, target: Target, signal: AbortSignal): Promise<Listening> {
    const { asked, bound } = forward
    const guest = await deps.guestFor(target, signal)
    if (!guest) throw new HatchwayError('NOT_SUPPORTED', NO_HELPER)
    let facts = forwardFacts('remote', placeName(bound ?? asked), target)
    const inlet = createInlet(book, () => facts)
    const open = (bind: GuestBind) =>
      withDeadline(limits.listenMs, [signal], (limit) =>
        guest.listen(bind, ({ end, address, port }) => inlet.join(end, () => openForwarded({ address, port })), limit),
      )
    const listening = bound ? openAgain(guest, bindInside(bound, binds), open, signal) : open(bindInside(asked, binds))
    // A connection may come with the news that the listener listens: the client must have been told before.
    const told = listening.then(({ port }) => setImmediate(port))
    told.catch(() => {})
    const openForwarded = async (from: Endpoint) => connection.openForwarded(boundAs(asked, await told), from)
    const listener = await listening
    facts = { ...facts, place: placeName(boundAs(asked, listener.port)) }
    const over = book.listening(facts)
    const removeClose = onAbort(forward.over.signal, () => void listener.close())
    const letGo = deps.hold([actionOf(asked, binds)], target, () => {
      forward.over.abort()
      inlet.destroy()
    })
    void listener.ended.then(removeClose).then(over)
    // A cancelled forward's connections go on, as sshd's do.
    void inlet.over(listener).then(letGo)
    return { target, listener }
  }

  /** Until it is over. @throws HatchwayError, GuestRefusal where it cannot be opened again */
  async function keep(forward: RemoteForward, first: Listening): Promise<void> {
    const { firstPauseMs: firstMs, longestPauseMs: longestMs, calmMs } = limits
    const backoff = createBackoff({ firstMs, longestMs, calmMs })
    for (let now = first; ; now = await reopen(forward, now.target, backoff)) {
      await now.listener.ended
      if (forward.over.signal.aborted) return
      log.info(
        { bind: clientText(nameOf(forward)), ...placeFields(now.target.container) },
        'a remote forward lost its listener',
      )
    }
  }

  async function reopen(forward: RemoteForward, lost: Target, backoff: Backoff): Promise<Listening> {
    let last: unknown
    try {
      return await withDeadline(limits.reopenMs, [forward.over.signal], async (signal) => {
        for (;;) {
          await backoff.pause(signal)
          try {
            const target = await deps.again(actionOf(forward.asked, binds), lost, signal)
            const listening = await listen(forward, target, signal)
            log.info(
              { bind: clientText(nameOf(forward)), ...placeFields(target.container) },
              'the remote forward listens again',
            )
            return listening
          } catch (error) {
            if (isFailure(error, ...FINAL)) throw error
            if (!signal.aborted) last = error
          }
        }
      })
    } catch (error) {
      throw isTimeout(error) && last !== undefined ? last : error
    }
  }

  function begin(forward: RemoteForward, first: Listening): void {
    const { over } = forward
    const name = nameOf(forward)
    const removeOver = onAbort(connection.closed, () => over.abort())
    const done = keep(forward, first)
      .catch((error: unknown) => {
        if (over.signal.aborted) return
        const { name: container } = first.target.container
        log.warn({ err: error, bind: clientText(name), container }, 'a remote forward cannot be opened again')
        connection.disconnect(`hatchway: remote forward ${clientText(name)} ended: ${whyOf(error, container)}`)
      })
      .finally(() => {
        removeOver()
        if (kept.get(name) === end) kept.delete(name)
      })
    const end = () => {
      over.abort()
      return done
    }
    kept.set(name, end)
  }

  return {
    async forward(asked): Promise<number | undefined> {
      const forward: RemoteForward = { asked, over: new AbortController() }
      const name = nameOf(forward)
      try {
        if (kept.has(name)) return undefined
        const { target } = await deps.enter(actionOf(asked, binds), connection.closed)
        const first = await listen(forward, target, connection.closed)
        const { port } = first.listener
        forward.bound = boundAs(asked, port)
        begin(forward, first)
        return connection.closed.aborted ? undefined : port
      } catch (error) {
        const failure = error instanceof GuestRefusal ? error : asHatchwayError(error)
        deps.emit({
          ...{ type: 'forward-failed', whose: deps.whose, kind: 'remote', place: clientText(name) },
          ...{ reason: failure.message, error: failure },
          ...(failure instanceof HatchwayError && { code: failure.code }),
        })
        return undefined
      }
    },

    async cancelForward(bind): Promise<boolean> {
      const end = kept.get(placeName(bind))
      kept.delete(placeName(bind))
      await end?.()
      return end !== undefined
    },
  }
}

function actionOf(bind: ForwardBind, { gatewayPorts }: BindSettings): Action {
  return bind.kind === 'tcp'
    ? { kind: 'forward-remote', host: bind.host, port: bind.port, bound: boundAddress(bind.host, gatewayPorts) }
    : { kind: 'forward-socket', path: bind.path, direction: 'remote' }
}

function boundAs(bind: ForwardBind, port: number): ForwardBind {
  return bind.kind === 'tcp' ? { ...bind, port } : bind
}

function nameOf({ asked, bound }: RemoteForward): string {
  return placeName(bound ?? asked)
}

/** A unix socket's file is left behind by a helper that was killed; it goes where nobody listens on it. */
async function openAgain(
  guest: Guest,
  bind: GuestBind,
  open: (bind: GuestBind) => Promise<GuestListener>,
  signal: AbortSignal,
): Promise<GuestListener> {
  try {
    return await open(bind)
  } catch (error) {
    if (bind.kind !== 'unix' || !hasErrno(error, 'EADDRINUSE')) throw error
    const refused = await guest.connect(bind, signal).then(
      (end) => end.destroy(),
      (failure: unknown) => hasErrno(failure, 'ECONNREFUSED'),
    )
    if (refused !== true) throw error
    return open({ ...bind, unlink: true })
  }
}

function hasErrno(error: unknown, errno: string): boolean {
  return error instanceof GuestRefusal && error.errno === errno
}

/** For the client. */
function whyOf(error: unknown, container: string): string {
  if (error instanceof GuestRefusal) return `it cannot listen there again (${error.errno})`
  if (isTimeout(error)) return 'the container engine does not answer'
  const failure = asHatchwayError(error)
  // Not "no such container": another one may have its name by now.
  return failure.code === 'CONTAINER_NOT_FOUND' ? `container ${container} was removed` : failure.message
}
