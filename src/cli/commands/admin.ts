/** The command line of `hatchway admin ...`; what it does is loaded when it runs. */
import type { Command } from 'commander'
import type { ConfigFlags } from '../flags.ts'
import { configOption, print, socketOption } from './options.ts'

export function registerAdmin(program: Command): void {
  const admin = program.command('admin').description('the admin page of your running gateways (admin.listen)')
  admin
    .command('token')
    .description('print a link that signs in once, within five minutes')
    .option('--name <name>', 'what the audit trail calls whoever uses it (default: your user name)')
    .addOption(configOption())
    .addOption(socketOption())
    .action(async ({ name, ...flags }: ConfigFlags & { name?: string }) => {
      const [{ adminToken }, { configFrom }] = await Promise.all([import('../admin-token.ts'), import('../flags.ts')])
      print(await adminToken(configFrom(flags).config, name))
    })
}
