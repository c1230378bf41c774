/**
 * A throw-away container in the target's process namespace carries the file; the target's own exec reaches it through
 * /proc/PID/root. It is on no file system of the target, needs no shell, no writable or executable mount there, and
 * root inside the target cannot alter it.
 */

import { HatchwayError } from '../../base/errors.ts'
import { type Container, type Engine, engineOf, type Holder } from '../../engine/engine.ts'
import { openDeadline } from '../../lifetime/deadline.ts'
import { onAbort } from '../../lifetime/on-abort.ts'
import { type GuestUser, serveWords } from '../user.ts'
import { type GuestBinary, HOLDER_HELPER, HOLDER_MOUNT, HOLDER_PROGRAM } from './binary.ts'
import type { Way } from './way.ts'

/** An engine under load needs seconds for the exec that runs the helper out of it, HELLO_MS at most. */
const DELIVERY_MS = 20_000
/** From the holder's own start until we know of it: the engine's limits for that (seconds, where it is busy). */
const TOLD_MS = 20_000

export const holderContainer: Way = {
  name: 'holder',
  hopeless: ({ engine, container }) =>
    engineOf(engine, container.id).holders === undefined ? 'this engine cannot create containers' : undefined,
  async deliver({ engine, container, user, binary, serve, signal }) {
    const holder = await startHolder(engine, container, user, binary, { holdMs: DELIVERY_MS }, signal)
    try {
      return await serve([`${holder.root}${HOLDER_HELPER}`, ...serveWords(user)])
    } finally {
      // The running helper keeps its file; nobody needs the container any more.
      void holder.close()
    }
  },
}

export interface HolderUse {
  /**
   * The gateway ends the holder that long after it has come, whatever became of its use. Should gateway or engine be gone,
   * it ends itself; later, as its own time begins before the engine has told that it runs.
   */
  readonly holdMs: number
  /** A folder of this host, mounted at HOLDER_MOUNT in it. */
  readonly folder?: string
}

/** `root`: its root directory as the target sees it. */
export async function startHolder(
  engine: Engine,
  { id: containerId, usernsMode }: Container,
  user: GuestUser,
  binary: GuestBinary,
  { holdMs, folder }: HolderUse,
  signal: AbortSignal,
): Promise<Holder & { readonly root: string }> {
  const { holders } = engineOf(engine, containerId)
  if (holders === undefined) throw new HatchwayError('NOT_SUPPORTED', 'this engine cannot create containers')
  const holder = await holders.start(
    {
      containerId,
      user: `${user.uid}:${user.gid}`,
      image: binary.holderImage,
      argv: [HOLDER_PROGRAM, 'hold', String(TOLD_MS + holdMs)],
      ...(usernsMode !== '' && { userns: usernsMode === 'host' ? 'host' : `container:${containerId}` }),
      ...(folder !== undefined && { mount: { source: folder, destination: HOLDER_MOUNT } }),
    },
    signal,
  )
  const [, pid] = /^([1-9]\d{0,6})$/.exec(holder.firstLine) ?? []
  if (pid === undefined) {
    await holder.close()
    throw new Error(`the holder said ${JSON.stringify(holder.firstLine)}`)
  }
  const limit = openDeadline(holdMs)
  let closed: Promise<void> | undefined
  const close = () => {
    limit.release()
    closed ??= holder.close()
    return closed
  }
  onAbort(limit.signal, () => void close())
  return { root: `/proc/${pid}/root`, close }
}
