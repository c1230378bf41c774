/**
 * A throw-away container in the target's process namespace carries the file; the target's own exec reaches it through
 * /proc/PID/root. It is on no file system of the target, needs no shell, no writable or executable mount there, and
 * root inside the target cannot alter it (GUEST.md §1).
 */
import type { Engine, Holder } from '../../engine/engine.ts'
import { HatchwayError } from '../../errors.ts'
import type { GuestUser } from '../user.ts'
import { type GuestBinary, HOLDER_MOUNT, HOLDER_PROGRAM } from './binary.ts'
import type { Way } from './way.ts'

export const holderContainer: Way = {
  name: 'holder',
  hopeless: ({ engine }) => (engine.holders === undefined ? 'this engine cannot create containers' : undefined),
  async deliver({ engine, container, user, binary, serve, signal }) {
    const holder = await startHolder(engine, container.id, user, binary, undefined, signal)
    try {
      return await serve([`${holder.root}${HOLDER_PROGRAM}`, 'serve'])
    } finally {
      // The running helper keeps its file; nobody needs the container any more.
      void holder.close()
    }
  },
}

/** `root`: its root directory as the target sees it. `folder` of this host is mounted at HOLDER_MOUNT in it. */
export async function startHolder(
  engine: Engine,
  containerId: string,
  user: GuestUser,
  binary: GuestBinary,
  folder: string | undefined,
  signal: AbortSignal,
): Promise<Holder & { readonly root: string }> {
  if (engine.holders === undefined) throw new HatchwayError('NOT_SUPPORTED', 'this engine cannot create containers')
  const holder = await engine.holders.start(
    {
      containerId,
      user: `${user.uid}:${user.gid}`,
      image: binary.holderImage,
      argv: [HOLDER_PROGRAM, 'hold'],
      ...(folder !== undefined && { mount: { source: folder, destination: HOLDER_MOUNT } }),
    },
    signal,
  )
  const [, pid] = /^([1-9]\d{0,6})$/.exec(holder.firstLine) ?? []
  if (pid === undefined) {
    await holder.close()
    throw new Error(`the holder said ${JSON.stringify(holder.firstLine)}`)
  }
  return { root: `/proc/${pid}/root`, close: () => holder.close() }
}
