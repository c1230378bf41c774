/** The command line of `hatchway config-ssh`; what it does is loaded when it runs. */
import type { Command } from 'commander'
import type { ConfigSshOptions } from '../config-ssh.ts'
import type { ConfigFlags } from '../flags.ts'
import { collect, gatewayOptions, print, socketOption } from './options.ts'

export function registerConfigSsh(program: Command): void {
  gatewayOptions(program.command('config-ssh').description('make containers hosts of your ssh: ssh USER@NAME'))
    .option('--listen <host:port>', 'where the gateway listens', collect)
    .addOption(socketOption())
    .option('--ssh-config <file>', 'your own configuration of ssh (default: ~/.ssh/config)')
    .option('--dry-run', 'only show what would change', false)
    .option('--yes', 'put the Include line there without asking', false)
    .option('--watch', 'go on, and follow containers as they come and go', false)
    .option('--uninstall', 'take everything out again', false)
    .action(async ({ dryRun, yes, watch, uninstall, sshConfig, ...flags }: ConfigFlags & ConfigSshOptions) => {
      const [{ configSsh }, { configFrom, againFlags }] = await Promise.all([
        import('../config-ssh.ts'),
        import('../flags.ts'),
      ])
      const options = { dryRun, yes, watch, uninstall, sshConfig, again: againFlags(flags) }
      await configSsh(configFrom(flags).config, options, print)
    })
}
