/** A copy of the checkout's tracked files: builds there do not touch what other tests run. */
import { cp, mkdir, mkdtemp, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { run } from '../support/run.ts'

const ROOT = resolve(import.meta.dirname, '../..')

export interface Source {
  readonly folder: string
  close(): Promise<void>
}

export async function copySource(): Promise<Source> {
  const folder = await mkdtemp(join(tmpdir(), 'hw-test-source-'))
  const listed = await run('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], { cwd: ROOT })
  for (const file of listed.stdout.toString().split('\0').filter(Boolean)) {
    await mkdir(dirname(join(folder, file)), { recursive: true })
    await cp(join(ROOT, file), join(folder, file)).catch((error: NodeJS.ErrnoException) => {
      // Deleted in the work tree and still in the index.
      if (error.code !== 'ENOENT') throw error
    })
  }
  await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'))
  return { folder, close: () => rm(folder, { recursive: true, force: true }) }
}
