/** The command line of `hatchway serve`; what it does is loaded when it runs. */
import type { Command } from 'commander'
import type { ConfigFlags } from '../flags.ts'
import { collect, exit, gatewayOptions, socketOption } from './options.ts'

export function registerServe(program: Command): void {
  gatewayOptions(program.command('serve').description('run the gateway'))
    .option('--listen <host:port>', 'address to listen on (repeatable)', collect)
    .addOption(socketOption())
    .action(async (flags: ConfigFlags) => {
      const { takeInheritance } = await import('../../process/inheritance.ts')
      const inheritance = takeInheritance(process.env)
      try {
        const [{ serve }, { configFrom }] = await Promise.all([import('../serve.ts'), import('../flags.ts')])
        exit(await serve(configFrom(flags), { inheritance, version: program.version() ?? '' }))
      } catch (error) {
        const message = error instanceof Error ? error.message : String(error)
        await inheritance.say({ pid: process.pid, state: 'failed', message })
        throw error
      }
    })
}
