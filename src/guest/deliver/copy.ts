/**
 * The engine's copy call, as root into "/": only root can write there, so nobody inside can swap the file before it
 * is executed (into /tmp: GUEST.md §5). A name of its own each time; removed as soon as it runs.
 */
import { randomBytes } from 'node:crypto'
import type { Engine, OutputSink } from '../../engine/engine.ts'
import { NAME_PREFIX } from './binary.ts'
import { tarball } from './tar.ts'
import type { Way } from './way.ts'

const REMOVE_LIMIT = 20_000

export const copyApi: Way = {
  name: 'copy',
  hopeless: ({ container }) => (container.readOnlyRootfs ? 'the root file system is read-only' : undefined),
  async deliver({ engine, container, binary, journal, serve, signal }) {
    const name = `${NAME_PREFIX}${randomBytes(16).toString('hex')}`
    const path = `/${name}`
    const note = await journal.note({ containerId: container.id, path })
    const remove = async () => {
      if (await removeHelper(engine, container.id, path)) await note.done()
    }
    try {
      await engine.copyIn(container.id, '/', tarball([{ name, mode: 0o755, bytes: binary.bytes }]), signal)
      const connection = await serve([path, 'serve'])
      // Off the session's way; its journal entry stays until it worked.
      remove().catch(() => {})
      return connection
    } catch (error) {
      await remove().catch(() => {})
      throw error
    }
  },
}

/** As root, by the helper itself (`PATH sweep`), since there may be no `rm`; by `rm` where the file would not run. */
export async function removeHelper(engine: Engine, containerId: string, path: string): Promise<boolean> {
  for (const argv of [[path, 'sweep'] as const, ['rm', '-f', path] as const]) {
    const signal = AbortSignal.timeout(REMOVE_LIMIT)
    const exec = await engine.exec(containerId, { argv, user: '0:0', cwd: '/', env: [] }, SILENT, signal)
    exec.stdin.end()
    const late = () => exec.close()
    signal.addEventListener('abort', late, { once: true })
    const status = await exec.exit
    signal.removeEventListener('abort', late)
    if ('code' in status && status.code === 0) return true
  }
  return (await engine.copyOut(containerId, path, 1, AbortSignal.timeout(REMOVE_LIMIT))) === undefined
}

const SILENT: OutputSink = { write: () => true }
