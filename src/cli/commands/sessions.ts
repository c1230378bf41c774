/** The command lines of `hatchway sessions`, `connections`, `kill`, `reload`, `restart` and `drain`; what they do is loaded when they run. */
import type { Command } from 'commander'
import type { ConfigFlags } from '../flags.ts'
import { collect, configOption, jsonOption, print, show, socketOption, watchOption } from './options.ts'

export function registerSessions(program: Command): void {
  program
    .command('sessions')
    .description('sessions of your running gateways')
    .option('--all', 'also those that ended lately', false)
    .option('--commands', 'with the command text, which may hold secrets', false)
    .addOption(watchOption())
    .addOption(jsonOption())
    .addOption(configOption())
    .addOption(socketOption())
    .action(async (options: ConfigFlags & { json: boolean; all: boolean; commands: boolean; watch: boolean }) => {
      const { json, all, commands, watch, ...flags } = options
      const [{ printSessions }, { configFrom }] = await Promise.all([import('../sessions.ts'), import('../flags.ts')])
      const { config } = configFrom(flags)
      await show(() => printSessions(config, { json, all, commands }), watch)
    })
}

export function registerConnections(program: Command): void {
  program
    .command('connections')
    .description('logins to your running gateways, and what each is used for')
    .addOption(watchOption())
    .addOption(jsonOption())
    .addOption(configOption())
    .addOption(socketOption())
    .action(async ({ json, watch, ...flags }: ConfigFlags & { json: boolean; watch: boolean }) => {
      const [{ printConnections }, { configFrom }] = await Promise.all([
        import('../connections.ts'),
        import('../flags.ts'),
      ])
      const { config } = configFrom(flags)
      await show(() => printConnections(config, json), watch)
    })
}

interface KillFlags extends ConfigFlags {
  readonly connection?: string[]
  readonly identity?: string[]
  readonly container?: string[]
}

export function registerKill(program: Command): void {
  program
    .command('kill')
    .description('end sessions, or whole connections')
    .argument('[id...]', 'as `hatchway sessions` shows it, or its beginning')
    .option('--connection <id>', 'all of a connection, as `hatchway connections` shows it (repeatable)', collect)
    .option('--identity <name>', 'all connections of somebody (repeatable)', collect)
    .option('--container <name>', 'all connections into a container (repeatable)', collect)
    .addOption(configOption())
    .addOption(socketOption())
    .action(async (ids: string[], options: KillFlags) => {
      const { connection: connections = [], identity: identities = [], container: containers = [], ...flags } = options
      const [{ kill }, { configFrom }] = await Promise.all([import('../kill.ts'), import('../flags.ts')])
      await kill(configFrom(flags).config, { ids, connections, identities, containers }, print)
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
      await reload(configFrom(flags).config, print)
    })
}

export function registerRestart(program: Command): void {
  program
    .command('restart')
    .description('have new gateways take over from your running ones, which go on with their connections')
    .addOption(configOption())
    .addOption(socketOption())
    .action(async (flags: ConfigFlags) => {
      const [{ restart }, { configFrom }] = await Promise.all([import('../restart.ts'), import('../flags.ts')])
      await restart(configFrom(flags).config, print)
    })
}

export function registerDrain(program: Command): void {
  program
    .command('drain')
    .description(
      'have your running gateways take no new connections, and stop once the last one that they have has ended',
    )
    .addOption(configOption())
    .addOption(socketOption())
    .action(async (flags: ConfigFlags) => {
      const [{ drain }, { configFrom }] = await Promise.all([import('../restart.ts'), import('../flags.ts')])
      await drain(configFrom(flags).config, print)
    })
}
