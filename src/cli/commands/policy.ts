/** The command lines of `hatchway policy ...`; what they do is loaded when they run. */
import type { Command } from 'commander'
import type { ConfigFlags } from '../flags.ts'
import { collect, configOption, engineOption, jsonOption, print } from './options.ts'

interface ExplainFlags extends ConfigFlags {
  readonly from: string
  readonly at?: string
  readonly key?: string
  readonly group?: string[]
  readonly principal?: string[]
  readonly json: boolean
}

export function registerPolicy(program: Command): void {
  const policy = program.command('policy').description('the rules: who may do what where')
  policy
    .command('explain')
    .description('which rule decides, and why; exit code 0: allowed, 1: refused')
    .argument('<who>', 'a user of the configuration, or the comment of a key')
    .argument('[user@container]', 'without it: what they may do where, as a table')
    .argument(
      '[action...]',
      'create (of +TEMPLATE), enter, start, debug, shell, exec COMMAND, sftp, pty, env NAME, agent, x11, forward-local HOST:PORT, ...',
    )
    .option('--from <address>', "the client's address", '127.0.0.1')
    .option('--at <time>', 'when, such as 2027-01-12T12:00:00Z (default: now)')
    .option('--key <fingerprint>', 'with which of their keys')
    .option('--group <name>', 'another group of theirs (repeatable)', collect)
    .option('--principal <name>', 'a principal of their certificate (repeatable)', collect)
    .addOption(jsonOption())
    .addOption(configOption())
    .addOption(engineOption())
    // `exec rm -rf /`: the words of a command are no options of ours. Not -h, either.
    .allowUnknownOption()
    .helpOption('--help', 'display help for command')
    .action(async (who: string, login: string | undefined, action: string[], options: ExplainFlags) => {
      const unknown = action[0] === 'exec' ? undefined : [who, login ?? '', ...action].find((word) => /^-./.test(word))
      if (unknown !== undefined) return program.error(`error: unknown option '${unknown}'`, { exitCode: 1 })
      const { from, at, key, group = [], principal = [], json, ...flags } = options
      const [{ explain, explainAll }, { configFrom }] = await Promise.all([
        import('../policy.ts'),
        import('../flags.ts'),
      ])
      const more = { from, at, key, groups: group, principals: principal, json }
      const loaded = configFrom(flags)
      const { text, allowed } = await (login === undefined
        ? explainAll(loaded, who, more)
        : explain(loaded, who, login, action, more))
      print(text)
      process.exitCode = allowed ? 0 : 1
    })
  policy
    .command('check')
    .description('say what is wrong with the configuration, and which rules may be mistakes')
    .addOption(configOption())
    .action(async (flags: ConfigFlags) => {
      const [{ policyCheck }, { configFrom }] = await Promise.all([import('../policy.ts'), import('../flags.ts')])
      print(policyCheck(configFrom(flags)))
    })
  policy
    .command('schema')
    .description('print the JSON Schemas of the questions to an external authorization and of its answers')
    .action(async () => print((await import('../policy.ts')).policySchema()))
}
