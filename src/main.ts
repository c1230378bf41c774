#!/usr/bin/env node
/** The process edge: arguments, exit code. Each command's code is loaded when it runs, so that every command starts fast. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Command, Option } from 'commander'
import { PACKAGE_ROOT } from './base/package-root.ts'
import type { ConfigFlags } from './cli/flags.ts'

interface ExplainFlags extends ConfigFlags {
  readonly from: string
  readonly at?: string
  readonly key?: string
  readonly group?: string[]
  readonly principal?: string[]
  readonly json: boolean
}

const program = new Command('hatchway')
  .description('SSH into any running container, with nothing installed inside it')
  .version(version())
  .showHelpAfterError('(hatchway --help shows the commands)')

const configOption = () => new Option('--config <file>', 'configuration file (YAML)')
const engineOption = () => new Option('--engine <kind>', 'auto, docker (API socket) or cli (docker, podman, nerdctl)')
const socketOption = () => new Option('--control-socket <path>', "the gateway's control socket")
const jsonOption = () => new Option('--json', 'print JSON').default(false)

function gatewayOptions(command: Command): Command {
  return command
    .addOption(configOption())
    .addOption(engineOption())
    .option('--authorized-keys <file>', 'who may enter (repeatable)', collect)
    .option('--guest <mode>', 'the helper inside containers: auto, off, require')
    .option('--keys <directory>', 'where host keys are made and kept')
    .option('--log-level <level>', 'fatal, error, warn, info, debug, trace, silent')
}

gatewayOptions(program.command('serve').description('run the gateway'))
  .option('--listen <host:port>', 'address to listen on (repeatable)', collect)
  .addOption(socketOption())
  .action(async (flags: ConfigFlags) => {
    const [{ serve }, { configFrom }] = await Promise.all([import('./cli/serve.ts'), import('./cli/flags.ts')])
    exit(await serve(configFrom(flags)))
  })

gatewayOptions(program.command('stdio').description('serve one SSH connection on stdin and stdout'))
  .option('--container <name>', 'the container; the SSH user name is then only the user in it')
  .action(async ({ container, ...flags }: ConfigFlags & { container?: string }) => {
    const { stdio } = await import('./cli/stdio.ts')
    exit(await stdio(flags, container))
  })

program
  .command('ls')
  .description('containers that can be entered')
  .option('--running', 'only those that run', false)
  .addOption(jsonOption())
  .addOption(configOption())
  .addOption(engineOption())
  .action(async ({ json, running, ...flags }: ConfigFlags & { json: boolean; running: boolean }) => {
    const [{ ls }, { configFrom }] = await Promise.all([import('./cli/ls.ts'), import('./cli/flags.ts')])
    print(await ls(configFrom(flags).config, { json, running }))
  })

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
    const [{ printSessions }, { configFrom }] = await Promise.all([
      import('./cli/sessions.ts'),
      import('./cli/flags.ts'),
    ])
    print(await printSessions(configFrom(flags).config, { json, all, commands }))
  })

program
  .command('kill')
  .description('end a session')
  .argument('<id>', 'as `hatchway sessions` shows it')
  .addOption(configOption())
  .addOption(socketOption())
  .action(async (id: string, flags: ConfigFlags) => {
    const [{ kill }, { configFrom }] = await Promise.all([import('./cli/sessions.ts'), import('./cli/flags.ts')])
    print(await kill(configFrom(flags).config, id))
  })

program
  .command('reload')
  .description('have your running gateways read their key files now')
  .addOption(configOption())
  .addOption(socketOption())
  .action(async (flags: ConfigFlags) => {
    const [{ reload }, { configFrom }] = await Promise.all([import('./cli/sessions.ts'), import('./cli/flags.ts')])
    print(await reload(configFrom(flags).config))
  })

gatewayOptions(program.command('doctor').description('find what keeps the gateway from working, and what to do'))
  .argument('[user@container]', 'also say how the guest helper gets into it')
  .option('--listen <host:port>', 'address to check (repeatable)', collect)
  .addOption(socketOption())
  .addOption(jsonOption())
  .action(async (login: string | undefined, { json, ...flags }: ConfigFlags & { json: boolean }) => {
    const { doctor } = await import('./cli/doctor.ts')
    const report = await doctor(flags, json, login)
    print(report.text)
    process.exitCode = report.exitCode
  })

program
  .command('hash-password')
  .description("ask for a password and print what to write behind a user's passwordHash")
  .action(async () => print(await (await import('./cli/hash-password.ts')).hashPasswordCommand()))

program
  .command('totp-secret')
  .description("make a secret for a user's verification codes: an otpauth:// URI for totpSecret and for the phone")
  .argument('<name>', 'the user')
  .action(async (name: string) =>
    print((await import('./cli/totp-secret.ts')).totpSecretCommand(name, process.stdout.isTTY)),
  )

const policy = program.command('policy').description('the rules: who may do what where')
policy
  .command('explain')
  .description('which rule decides, and why; exit code 0: allowed, 1: refused')
  .argument('<who>', 'a user of the configuration, or the comment of a key')
  .argument('<user@container>')
  .argument(
    '[action...]',
    'enter, start, shell, exec COMMAND, sftp, pty, env NAME, agent, x11, forward-local HOST:PORT, ...',
  )
  .option('--from <address>', 'where they come from', '127.0.0.1')
  .option('--at <time>', 'when, such as 2027-01-12T12:00:00Z (default: now)')
  .option('--key <fingerprint>', 'with which of their keys')
  .option('--group <name>', 'a group they are in besides (repeatable)', collect)
  .option('--principal <name>', 'a principal of their certificate (repeatable)', collect)
  .addOption(jsonOption())
  .addOption(configOption())
  .addOption(engineOption())
  .action(async (who: string, login: string, action: string[], options: ExplainFlags) => {
    const { from, at, key, group = [], principal = [], json, ...flags } = options
    const [{ explain }, { configFrom }] = await Promise.all([import('./cli/policy.ts'), import('./cli/flags.ts')])
    const more = { from, at, key, groups: group, principals: principal, json }
    const { text, allowed } = await explain(configFrom(flags), who, login, action, more)
    print(text)
    process.exitCode = allowed ? 0 : 1
  })
policy
  .command('check')
  .description('say what is wrong with the configuration, and what of the rules may not be meant')
  .addOption(configOption())
  .action(async (flags: ConfigFlags) => {
    const [{ policyCheck }, { configFrom }] = await Promise.all([import('./cli/policy.ts'), import('./cli/flags.ts')])
    print(policyCheck(configFrom(flags)))
  })
policy
  .command('schema')
  .description('print the JSON Schemas of what an external authorization is asked and answers')
  .action(async () => print((await import('./cli/policy.ts')).policySchema()))

const config = program.command('config').description('the configuration')
config
  .command('check')
  .description('say what is wrong with it: file, line, key')
  .addOption(configOption())
  .action(async (flags: ConfigFlags) => {
    const [{ configCheck }, { configFrom }] = await Promise.all([import('./cli/config.ts'), import('./cli/flags.ts')])
    print(configCheck(configFrom(flags)))
  })
config
  .command('schema')
  .description('print its JSON Schema')
  .action(async () => print((await import('./cli/config.ts')).configSchemaText()))
config
  .command('example')
  .description('print a file with every key, its default and what it means')
  .action(async () => print((await import('./config/example.ts')).exampleConfig()))

gatewayOptions(program.command('config-ssh').description('make containers hosts of your ssh: ssh USER@NAME'))
  .option('--listen <host:port>', 'where the gateway listens', collect)
  .addOption(socketOption())
  .option('--ssh-config <file>', 'your own configuration of ssh (default: ~/.ssh/config)')
  .option('--dry-run', 'only show what would change', false)
  .option('--yes', 'put the Include line there without asking', false)
  .option('--watch', 'go on, and follow containers as they come and go', false)
  .option('--uninstall', 'take everything out again', false)
  .action(async ({ dryRun, yes, watch, uninstall, sshConfig, ...flags }: ConfigFlags & ConfigSshFlags) => {
    const [{ configSsh }, { configFrom, againFlags }] = await Promise.all([
      import('./cli/config-ssh.ts'),
      import('./cli/flags.ts'),
    ])
    const options = { dryRun, yes, watch, uninstall, sshConfig, again: againFlags(flags) }
    await configSsh(configFrom(flags).config, options, print)
  })

gatewayOptions(
  program.command('connect').description('for ProxyCommand: to a container, by the gateway or without one'),
)
  .argument('<container>')
  .requiredOption('--gateway <host:port>', 'asked first; where nothing listens, this process serves')
  .action(async (container: string, { gateway, ...flags }: ConfigFlags & { gateway: string }) => {
    const [{ connect }, { parseListen }] = await Promise.all([import('./cli/connect.ts'), import('./config/values.ts')])
    const address = parseListen(gateway)
    if (!address) return program.error('error: --gateway: expected HOST:PORT', { exitCode: 2 })
    exit(await connect(address, container, async () => (await import('./cli/stdio.ts')).stdio(flags, container)))
  })

program
  .command('man')
  .description('print the manual page, for man -l or a package')
  .action(async () => print((await import('./cli/man.ts')).manPage(program)))

// Loaded where it is asked for or listed: every other command starts without it.
if (/^(complete|completion|help|-h|--help|undefined)$/.test(String(process.argv[2]))) {
  const { default: completion } = await import('@bomb.sh/tab/commander')
  completion(program, { completionCommandName: 'completion' })
}

interface ConfigSshFlags {
  readonly dryRun: boolean
  readonly yes: boolean
  readonly watch: boolean
  readonly uninstall: boolean
  readonly sshConfig?: string
}

// `hatchway ls | head`: a reader that has enough is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => exit(error.code === 'EPIPE' ? 0 : 1))

try {
  await program.parseAsync()
} catch (error) {
  const { message, exitCode } = await sentenceOf(error)
  process.stderr.write(message)
  exit(exitCode)
}

async function sentenceOf(error: unknown): Promise<{ message: string; exitCode: number }> {
  const [{ HatchwayError }, { CliFailure }, { ConfigError }, { printable }] = await Promise.all([
    import('./base/errors.ts'),
    import('./control/cli-failure.ts'),
    import('./config/load.ts'),
    import('./base/printable.ts'),
  ])
  const said = (text: string) => `hatchway: ${printable(text)}\n`
  if (error instanceof ConfigError) return { message: error.problems.map(said).join(''), exitCode: error.exitCode }
  if (error instanceof HatchwayError || error instanceof CliFailure) {
    return { message: said(error.message), exitCode: error.exitCode }
  }
  return { message: `hatchway: ${error instanceof Error ? error.stack : String(error)}\n`, exitCode: 70 }
}

function collect(value: string, before: string[] = []): string[] {
  return [...before, value]
}

function print(text: string): void {
  process.stdout.write(text)
}

/** Sockets and timers that a library keeps open must not keep the process. */
function exit(code: number): never {
  process.exit(code)
}

function version(): string {
  const text = readFileSync(join(PACKAGE_ROOT, 'package.json'), 'utf8')
  return /"version": "([^"]+)"/.exec(text)?.[1] ?? '0'
}
