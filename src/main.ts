#!/usr/bin/env node
/** The process edge: arguments, exit code. Each command's code is loaded when it runs, so that every command starts fast. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Command } from 'commander'
import { PACKAGE_ROOT } from './base/package-root.ts'
import { part } from './base/parts.ts'
import { PROGRAM_NAME } from './base/program-name.ts'
import { registerAdmin } from './cli/commands/admin.ts'
import { registerAudit } from './cli/commands/audit.ts'
import { registerConfig } from './cli/commands/config.ts'
import { registerConfigSsh } from './cli/commands/config-ssh.ts'
import { registerConnect } from './cli/commands/connect.ts'
import { registerDoctor } from './cli/commands/doctor.ts'
import { registerLs } from './cli/commands/ls.ts'
import { registerMan } from './cli/commands/man.ts'
import { exit } from './cli/commands/options.ts'
import { registerPolicy } from './cli/commands/policy.ts'
import { registerRecords } from './cli/commands/records.ts'
import { registerHashPassword, registerTotpSecret } from './cli/commands/secrets.ts'
import { registerServe } from './cli/commands/serve.ts'
import {
  registerConnections,
  registerDrain,
  registerKill,
  registerReload,
  registerRestart,
  registerSessions,
} from './cli/commands/sessions.ts'
import { registerStdio } from './cli/commands/stdio.ts'
import { registerVersion } from './cli/commands/version.ts'

/** In the order of --help and of the manual page. */
const COMMANDS: readonly ((program: Command) => void)[] = [
  registerServe,
  registerStdio,
  registerLs,
  registerSessions,
  registerConnections,
  registerKill,
  registerReload,
  registerRestart,
  registerDrain,
  registerDoctor,
  registerHashPassword,
  registerTotpSecret,
  registerPolicy,
  registerAudit,
  registerAdmin,
  registerRecords,
  registerConfig,
  registerConfigSsh,
  registerConnect,
  registerMan,
  registerVersion,
]

const FIRST_STEPS = `
To begin: \`${PROGRAM_NAME} doctor\`, \`${PROGRAM_NAME} serve\`, and in another terminal \`${PROGRAM_NAME} config-ssh\`, then \`ssh CONTAINER\`.`

const loadFailures = part(() =>
  Promise.all([
    import('./base/errors.ts'),
    import('./control/cli-failure.ts'),
    import('./config/load.ts'),
    import('./base/printable.ts'),
  ]),
)

const program = new Command('hatchway')
  .description('SSH into any running container, with nothing installed inside it')
  .version(version())
  .showHelpAfterError(`(${PROGRAM_NAME} --help shows the commands)`)
  .addHelpText('after', FIRST_STEPS)
for (const register of COMMANDS) register(program)

// Loaded where it is asked for or listed: every other command starts without it.
if (/^(complete|completion|help|-h|--help|undefined)$/.test(String(process.argv[2]))) {
  const { addCompletion } = await import('./cli/completion.ts')
  addCompletion(program)
}

for (const command of program.commands) showOwnUsage(command, PROGRAM_NAME)

// `hatchway ls | head`: a reader that has enough is no failure.
process.stdout.on('error', (error: NodeJS.ErrnoException) => exit(error.code === 'EPIPE' ? 0 : 1))

// Not commander's: an error, on standard error.
if (process.argv.length <= 2) program.help()

try {
  await program.parseAsync()
} catch (error) {
  const { message, exitCode } = await sentenceOf(error)
  process.stderr.write(message)
  exit(exitCode)
}

/** After an error of its arguments, what they are: not the program's list of commands, which a command would take over. */
function showOwnUsage(command: Command, before: string): void {
  const path = `${before} ${command.name()}`
  command.showHelpAfterError(`usage: ${path} ${command.usage()}\n(${path} --help shows more)`)
  for (const sub of command.commands) showOwnUsage(sub, path)
}

async function sentenceOf(error: unknown): Promise<{ message: string; exitCode: number }> {
  const [{ HatchwayError }, { CliFailure }, { ConfigError }, { printable }] = await loadFailures()
  const said = (text: string) => `hatchway: ${printable(text)}\n`
  if (error instanceof ConfigError) return { message: error.problems.map(said).join(''), exitCode: error.exitCode }
  if (error instanceof HatchwayError || error instanceof CliFailure) {
    return { message: said(error.message), exitCode: error.exitCode }
  }
  return { message: `hatchway: ${error instanceof Error ? error.stack : String(error)}\n`, exitCode: 70 }
}

function version(): string {
  const text = readFileSync(join(PACKAGE_ROOT, 'package.json'), 'utf8')
  return /"version": "([^"]+)"/.exec(text)?.[1] ?? '0'
}
