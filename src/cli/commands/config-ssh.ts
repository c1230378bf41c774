/** The command line of `hatchway config-ssh`; what it does is loaded when it runs. */
import type { Command } from 'commander'
import type { ConfigSshOptions } from '../config-ssh.ts'
import type { ConfigFlags } from '../flags.ts'
import { collect, gatewayOptions, print, socketOption } from './options.ts'

type Flags = ConfigFlags & Omit<ConfigSshOptions, 'option' | 'again'> & { readonly o?: readonly string[] }

export function registerConfigSsh(program: Command): void {
  gatewayOptions(program.command('config-ssh').description('make containers hosts of your ssh: ssh USER@NAME'))
    .option('--listen <host:port>', 'where the gateway listens', collect)
    .addOption(socketOption())
    .option('--ssh-config <file>', 'your own configuration of ssh (default: ~/.ssh/config)')
    .option('--gateway <host[:port]>', 'make hosts of the containers of a gateway on another machine (port: 2222)')
    .option(
      '--suffix <suffix>',
      'with --gateway: all hosts that end so lead there, if it has that suffix (default: .ctr; repeatable)',
      collect,
    )
    .option('-o <option>', 'a setting for these hosts, as of ssh -o (repeatable)', collect)
    .option('--inline', 'write the hosts into the file itself, for clients that read no Include', false)
    .option('--dry-run', 'only show what would change', false)
    .option('--yes', 'change your ssh_config without asking', false)
    .option('--watch', 'go on, and follow containers as they come and go', false)
    .option('--uninstall', 'take everything out again', false)
    .action(async ({ dryRun, yes, watch, uninstall, inline, gateway, suffix, o, sshConfig, ...flags }: Flags) => {
      const [{ configSsh }, { configFrom, againFlags }] = await Promise.all([
        import('../config-ssh.ts'),
        import('../flags.ts'),
      ])
      const asked = { dryRun, yes, watch, uninstall, inline, gateway, suffix, sshConfig }
      const options = { ...asked, option: o ?? [], again: againFlags(flags) }
      await configSsh(() => configFrom(flags).config, options, print)
    })
}
