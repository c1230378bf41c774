/** The command line of `hatchway stdio`; what it does is loaded when it runs. */
import type { Command } from 'commander'
import type { ConfigFlags } from '../flags.ts'
import { exit, gatewayOptions } from './options.ts'

export function registerStdio(program: Command): void {
  gatewayOptions(program.command('stdio').description('serve one SSH connection on stdin and stdout'))
    .option('--container <name>', 'the container; the SSH user name is then only the user in it')
    .action(async ({ container, ...flags }: ConfigFlags & { container?: string }) => {
      const { stdio } = await import('../stdio.ts')
      exit(await stdio(flags, container))
    })
}
