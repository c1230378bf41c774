/** The command line of `hatchway doctor`; what it does is loaded when it runs. */
import type { Command } from 'commander'
import type { ConfigFlags } from '../flags.ts'
import { collect, gatewayOptions, jsonOption, print, socketOption } from './options.ts'

export function registerDoctor(program: Command): void {
  gatewayOptions(program.command('doctor').description('find what keeps the gateway from working, and what to do'))
    .argument('[user@container]', 'also say how the guest helper gets into it')
    .option('--listen <host:port>', 'address to check (repeatable)', collect)
    .addOption(socketOption())
    .addOption(jsonOption())
    .action(async (login: string | undefined, { json, ...flags }: ConfigFlags & { json: boolean }) => {
      const { doctor } = await import('../doctor.ts')
      const report = await doctor(flags, json, login)
      print(report.text)
      process.exitCode = report.exitCode
    })
}
