/** The command lines of `hatchway config ...`; what they do is loaded when they run. */
import type { Command } from 'commander'
import type { ConfigFlags } from '../flags.ts'
import { collect, gatewayOptions, print, socketOption } from './options.ts'

export function registerConfig(program: Command): void {
  const config = program.command('config').description('the configuration')
  gatewayOptions(
    config
      .command('check')
      .description('say what `serve` with these options would refuse, and what keeps everybody out: file, line, key'),
  )
    .option('--listen <host:port>', 'address to listen on (repeatable)', collect)
    .addOption(socketOption())
    .action(async (flags: ConfigFlags) => {
      const [{ configCheck }, { configFrom }] = await Promise.all([import('../config-check.ts'), import('../flags.ts')])
      await configCheck(configFrom(flags), print)
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
