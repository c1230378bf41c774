/**
 * The engine's copy call, as root into "/": only root can write there, so nobody inside can swap the file before it
 * is executed. A name of its own each time; removed as soon as it runs.
 */
import { randomBytes } from 'node:crypto'
import { copyMayHang } from '../../engine/copy-may-hang.ts'
import { engineOf } from '../../engine/engine.ts'
import type { GuestConnection } from '../connection.ts'
import { serveWords } from '../user.ts'
import { NAME_PREFIX } from './binary.ts'
import { removeHelper } from './remove.ts'
import { tarball } from './tar.ts'
import type { Way } from './way.ts'

export const copyApi: Way = {
  name: 'copy',
  hopeless({ engine, container }) {
    if (engineOf(engine, container.id).copies === undefined) return 'this engine has no copy call'
    return container.readOnlyRootfs ? 'the root file system is read-only' : undefined
  },
  // A holder touches no volume of the container.
  unlikely: ({ container }) => copyMayHang(container),
  async deliver({ engine, container, user, binary, journal, serve, serveAs, signal }) {
    const name = `${NAME_PREFIX}${randomBytes(16).toString('hex')}`
    const path = `/${name}`
    const note = await journal.note({ containerId: container.id, path })
    // The journal's entry stays until it worked.
    const remove = async (helper?: GuestConnection) => {
      if (await removeHelper(engine, serveAs, container, path, helper)) await note.done()
    }
    try {
      const archive = tarball([{ name, mode: 0o755, bytes: binary.bytes }])
      await engineOf(engine, container.id).copies?.copyIn(container.id, '/', archive, signal)
      const connection = await serve([path, ...serveWords(user)])
      // Off the session's way.
      remove(connection).catch(() => {})
      return connection
    } catch (error) {
      await remove().catch(() => {})
      throw error
    }
  },
}
