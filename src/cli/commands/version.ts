/** `hatchway version`, which people type where they mean --version. */
import type { Command } from 'commander'
import { print } from './options.ts'

export function registerVersion(program: Command): void {
  program
    .command('version')
    .description('print the version, as --version does')
    .action(() => print(`${program.version()}\n`))
}
