/** The command line of `hatchway connect`; what it does is loaded when it runs. */
import type { Command } from 'commander'
import type { ConfigFlags } from '../flags.ts'
import { exit, gatewayOptions, socketOption } from './options.ts'

type ConnectFlags = ConfigFlags & { readonly gateway?: string; readonly knownHosts?: string }

export function registerConnect(program: Command): void {
  gatewayOptions(
    program.command('connect').description('for ProxyCommand: to a container, by the gateway or without one'),
  )
    .argument('<container>')
    .option('--gateway <host:port>', 'asked first; if nothing listens there, this process serves')
    .option(
      '--known-hosts <file>',
      'ask only your own running gateway, wherever it listens, that has a key in this file',
    )
    .addOption(socketOption())
    .action(async (container: string, { gateway, knownHosts, ...flags }: ConnectFlags) => {
      const [{ connect }, { parseListen }] = await Promise.all([
        import('../connect.ts'),
        import('../../config/values.ts'),
      ])
      const address = gateway === undefined ? undefined : parseListen(gateway)
      if (gateway !== undefined && !address)
        return program.error('error: --gateway: expected HOST:PORT', { exitCode: 2 })
      const gateways = { gateway: address, knownHosts, controlSocket: flags.controlSocket }
      const serveHere = async () => (await import('../stdio.ts')).stdio(flags, container, knownHosts)
      exit(await connect(gateways, container, serveHere))
    })
}
