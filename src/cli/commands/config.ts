/** The command lines of `hatchway config ...`; what they do is loaded when they run. */
import type { Command } from 'commander'
import type { ConfigFlags } from '../flags.ts'
import { configOption, print } from './options.ts'

export function registerConfig(program: Command): void {
  const config = program.command('config').description('the configuration')
  config
    .command('check')
    .description('say what is wrong with it: file, line, key')
    .addOption(configOption())
    .action(async (flags: ConfigFlags) => {
      const [{ configCheck }, { configFrom }] = await Promise.all([import('../config.ts'), import('../flags.ts')])
      print(configCheck(configFrom(flags)))
    })
  config
    .command('schema')
    .description('print its JSON Schema')
    .action(async () => print((await import('../config.ts')).configSchemaText()))
  config
    .command('example')
    .description('print a file with every key, its default and what it means')
    .action(async () => print((await import('../../config/example.ts')).exampleConfig()))
}
