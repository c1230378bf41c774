/** A program of the project's own modules in one file, for tests that need a process of its own, to be killed or put elsewhere. */
import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { rolldown } from 'rolldown'

/** For `import` in the program's text. */
export const PROJECT = resolve(import.meta.dirname, '../..')

export interface Bundle {
  /** For node. */
  readonly file: string
  remove(): Promise<void>
}

export async function bundleProgram(text: string): Promise<Bundle> {
  const folder = await mkdtemp(join(tmpdir(), 'hw-test-built-'))
  await symlink(join(PROJECT, 'guest'), join(folder, 'guest'))
  await symlink(join(PROJECT, 'node_modules'), join(folder, 'node_modules'))
  await writeFile(join(folder, 'package.json'), '{"type":"module"}')
  await writeFile(join(folder, 'source.js'), text)
  const file = join(folder, 'program.js')
  const bundle = await rolldown({ input: join(folder, 'source.js'), platform: 'node', external: ['ssh2', 'node-pty'] })
  await bundle.write({ file, codeSplitting: false })
  return { file, remove: () => rm(folder, { recursive: true, force: true }) }
}
