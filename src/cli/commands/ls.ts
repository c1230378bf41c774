/** The command line of `hatchway ls`; what it does is loaded when it runs. */
import type { Command } from 'commander'
import { PROGRAM_NAME } from '../../base/program-name.ts'
import type { ConfigFlags } from '../flags.ts'
import { configOption, engineOption, jsonOption, print } from './options.ts'

interface LsFlags {
  readonly json: boolean
  readonly running: boolean
  readonly wide: boolean
}

export function registerLs(program: Command): void {
  program
    .command('ls')
    .description('containers that can be entered')
    .option('--running', 'only those that run', false)
    .option('--wide', 'also ids, volumes and labels', false)
    .addOption(jsonOption())
    .addOption(configOption())
    .addOption(engineOption())
    .action(async ({ json, running, wide, ...flags }: ConfigFlags & LsFlags) => {
      const [{ ls }, { configFrom }] = await Promise.all([import('../ls.ts'), import('../flags.ts')])
      print(await ls(configFrom(flags).config, { json, running, wide }))
      // For a person; a program reads the table or the JSON.
      if (!json && process.stdout.isTTY)
        print(`\nTo enter one:\n  ${PROGRAM_NAME} config-ssh  # once\n  ssh USER@NAME\n`)
    })
}
