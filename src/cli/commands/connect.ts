/** The command line of `hatchway connect`; what it does is loaded when it runs. */
import type { Command } from 'commander'
import type { ConfigFlags } from '../flags.ts'
import { exit, gatewayOptions } from './options.ts'

export function registerConnect(program: Command): void {
  gatewayOptions(
    program.command('connect').description('for ProxyCommand: to a container, by the gateway or without one'),
  )
    .argument('<container>')
    .requiredOption('--gateway <host:port>', 'asked first; if nothing listens there, this process serves')
    .action(async (container: string, { gateway, ...flags }: ConfigFlags & { gateway: string }) => {
      const [{ connect }, { parseListen }] = await Promise.all([
        import('../connect.ts'),
        import('../../config/values.ts'),
      ])
      const address = parseListen(gateway)
      if (!address) return program.error('error: --gateway: expected HOST:PORT', { exitCode: 2 })
      exit(await connect(address, container, async () => (await import('../stdio.ts')).stdio(flags, container)))
    })
}
