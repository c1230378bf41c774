/**
 * The engine's copy call, as root into "/": only root can write there, so nobody inside can swap the file before it
 * is executed (into /tmp: GUEST.md §5). A name of its own each time; removed as soon as it runs.
 */
import { randomBytes } from 'node:crypto'
import type { GuestConnection } from '../connection.ts'
import { NAME_PREFIX } from './binary.ts'
import { removeHelper } from './remove.ts'
import { tarball } from './tar.ts'
import type { Delivery, Way } from './way.ts'

/** The helper's file in a container. */
export interface Placed {
  readonly path: string
  /** `helper`: one that runs from it. Throws when the engine does not answer: the journal knows of the file. */
  remove(helper?: GuestConnection): Promise<void>
}

export async function place({
  engine,
  container,
  binary,
  journal,
  serveAs,
  signal,
}: Pick<Delivery, 'engine' | 'container' | 'binary' | 'journal' | 'serveAs' | 'signal'>): Promise<Placed> {
  const name = `${NAME_PREFIX}${randomBytes(16).toString('hex')}`
  const path = `/${name}`
  const note = await journal.note({ containerId: container.id, path })
  // The journal's entry stays until it worked.
  const remove = async (helper?: GuestConnection) => {
    if (await removeHelper(engine, serveAs, container, path, helper)) await note.done()
  }
  try {
    await engine.copyIn(container.id, '/', tarball([{ name, mode: 0o755, bytes: binary.bytes }]), signal)
    return { path, remove }
  } catch (error) {
    await remove().catch(() => {})
    throw error
  }
}

export const copyApi: Way = {
  name: 'copy',
  hopeless: ({ container }) => (container.readOnlyRootfs ? 'the root file system is read-only' : undefined),
  async deliver(delivery) {
    const { path, remove } = await (delivery.placed() ?? place(delivery))
    try {
      const connection = await delivery.serve([path, 'serve'])
      // Off the session's way.
      remove(connection).catch(() => {})
      return connection
    } catch (error) {
      await remove().catch(() => {})
      throw error
    }
  },
}
