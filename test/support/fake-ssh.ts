/** An ssh program first on the PATH: what it is told is noted, then it does as the script says. */
import { chmod, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'

export interface FakeSsh {
  /** Its arguments, a line for each call. */
  calls(): Promise<string[]>
  /** What the next calls do: a shell's commands, with the arguments as "$@". */
  does(script: string): Promise<void>
  close(): Promise<void>
}

export async function fakeSsh(script: string): Promise<FakeSsh> {
  const home = await mkdtemp(join(tmpdir(), 'hw-test-ssh-'))
  const before = process.env.PATH
  const file = join(home, 'ssh')
  const does = async (next: string) => {
    await writeFile(`${file}.new`, `#!/bin/sh\necho "$@" >>${home}/calls\n${next}\n`)
    await chmod(`${file}.new`, 0o755)
    // A program that is being run cannot be written to.
    await rename(`${file}.new`, file)
  }
  await does(script)
  process.env.PATH = `${home}${delimiter}${before}`
  return {
    calls: async () => (await readFile(join(home, 'calls'), 'utf8').catch(() => '')).split('\n').filter(Boolean),
    does,
    async close() {
      process.env.PATH = before
      await rm(home, { recursive: true, force: true })
    },
  }
}

/** As the far end's shell would run what comes behind the host. */
export const RUN_IT_HERE = 'while [ "$1" != -- ]; do shift; done; shift 2; exec "$@"'
