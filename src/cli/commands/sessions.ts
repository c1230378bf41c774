/** The command lines of `hatchway sessions`, `kill` and `reload`; what they do is loaded when they run. */
import type { Command } from 'commander'
import type { ConfigFlags } from '../flags.ts'
import { configOption, jsonOption, print, socketOption } from './options.ts'

export function registerSessions(program: Command): void {
  program
    .command('sessions')
    .description('sessions of your running gateways')
    .option('--all', 'also those that ended lately', false)
    .option('--commands', 'with the command text, which may hold secrets', false)
    .addOption(jsonOption())
    .addOption(configOption())
    .addOption(socketOption())
    .action(async (options: ConfigFlags & { json: boolean; all: boolean; commands: boolean }) => {
      const { json, all, commands, ...flags } = options
      const [{ printSessions }, { configFrom }] = await Promise.all([import('../sessions.ts'), import('../flags.ts')])
      print(await printSessions(configFrom(flags).config, { json, all, commands }))
    })
}

export function registerKill(program: Command): void {
  program
    .command('kill')
    .description('end a session')
    .argument('<id>', 'as `hatchway sessions` shows it')
    .addOption(configOption())
    .addOption(socketOption())
    .action(async (id: string, flags: ConfigFlags) => {
      const [{ kill }, { configFrom }] = await Promise.all([import('../sessions.ts'), import('../flags.ts')])
      print(await kill(configFrom(flags).config, id))
    })
}

export function registerReload(program: Command): void {
  program
    .command('reload')
    .description('have your running gateways read their configuration and key files now')
    .addOption(configOption())
    .addOption(socketOption())
    .action(async (flags: ConfigFlags) => {
      const [{ reload }, { configFrom }] = await Promise.all([import('../sessions.ts'), import('../flags.ts')])
      print(await reload(configFrom(flags).config))
    })
}
