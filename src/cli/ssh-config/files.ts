/** Changes files of the user: as a whole or not at all, and shown before. */
import { mkdir, readFile, realpath, rm, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { messageOf } from '../../base/errors.ts'
import { replaceFile } from '../../base/whole-file.ts'
import { CliFailure } from '../../control/cli-failure.ts'

export interface Change {
  readonly file: string
  readonly before: string
  /** Undefined if the file is to be removed. */
  readonly after: string | undefined
}

export async function plannedChange(file: string, after: (before: string) => string | undefined): Promise<Change> {
  const before = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return ''
    throw new CliFailure(`cannot read ${file}: ${error.message}`, 1, { cause: error })
  })
  return { file, before, after: after(before) }
}

export function changes({ before, after }: Change): boolean {
  return before !== (after ?? '')
}

/** A file of a dotfiles collection is a link here: its target is replaced, and keeps its mode. */
export async function apply({ file, after }: Change): Promise<void> {
  if (after === undefined) return rm(file, { force: true })
  try {
    await mkdir(dirname(file), { recursive: true, mode: 0o700 })
    const real = await realpath(file).catch(() => file)
    const mode = await stat(real).then(
      ({ mode }) => mode & 0o777,
      () => 0o600,
    )
    await replaceFile(real, after, mode)
  } catch (error) {
    throw new CliFailure(`cannot write ${file}: ${messageOf(error)}`, 1, { cause: error })
  }
}

export async function difference({ file, before, after }: Change): Promise<string> {
  const { createTwoFilesPatch } = await import('diff')
  const patch = createTwoFilesPatch(file, file, before, after ?? '', undefined, undefined, { context: 3 })
  // Its first line is a ruler.
  return patch.replace(/^=+\n/, '')
}
