/** The command line of `hatchway man`; what it does is loaded when it runs. */
import type { Command } from 'commander'
import { print } from './options.ts'

const CONFIG_PAGE = 'hatchway.yaml'

export function registerMan(program: Command): void {
  program
    .command('man')
    .description('print a manual page, for man -l or a package')
    .argument('[page]', `hatchway (1), or ${CONFIG_PAGE} (5)`, 'hatchway')
    .action(async (page: string) => {
      if (page === CONFIG_PAGE) return print((await import('../man-config.ts')).configManPage(program.version() ?? ''))
      if (page !== 'hatchway')
        return program.error(`error: there is no page ${page}: hatchway or ${CONFIG_PAGE}`, { exitCode: 2 })
      print((await import('../man.ts')).manPage(program))
    })
}
