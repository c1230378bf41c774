/** The command line of `hatchway man`; what it does is loaded when it runs. */
import type { Command } from 'commander'
import { print } from './options.ts'

export function registerMan(program: Command): void {
  program
    .command('man')
    .description('print the manual page, for man -l or a package')
    .action(async () => print((await import('../man.ts')).manPage(program)))
}
