/** Marks by the CLI's `volume` commands: empty volumes (engine.ts `Marks`). */
import type { Marks } from '../engine.ts'
import { MARK_LABEL, MARK_NAME } from '../mark-names.ts'
import { engineError } from '../messages.ts'
import { type Cli, cliMessage } from './run.ts'

/** @param product as the engine names itself */
export function cliMarks(cli: Cli, product: string): Marks {
  return {
    async put(name, signal) {
      const create = ['volume', 'create', '--driver=local', `--label=${MARK_LABEL}=`, name]
      const { code, stderr } = await cli.run(create, { signal })
      if (code !== 0 && !/already exists/i.test(stderr)) throw engineError(cliMessage(stderr), {})
    },

    async list(signal) {
      // As over the API: Docker's other drivers may hang, and Podman lists what either filter fits.
      const wanted = [`label=${MARK_LABEL}`, ...(product === 'podman' ? [] : ['driver=local'])]
      const filters = wanted.flatMap((filter) => ['--filter', filter])
      const stdout = await cli.must(['volume', 'ls', '--quiet', ...filters], { signal }, {})
      const names = stdout.toString('utf8').split('\n')
      return names.map((name) => name.trim()).filter((name) => MARK_NAME.test(name))
    },

    async drop(name, signal) {
      const { code, stderr } = await cli.run(['volume', 'rm', name], { signal })
      if (code !== 0 && !/no such volume|no volume with name/i.test(stderr)) throw engineError(cliMessage(stderr), {})
    },
  }
}
