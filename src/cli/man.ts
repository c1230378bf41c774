/** The manual page, man(7), made from the program's own commands and options: it cannot be out of date. */
import type { Command } from 'commander'

const FILES: readonly (readonly [string, string])[] = [
  ['~/.config/hatchway/hatchway.yaml, /etc/hatchway/hatchway.yaml', 'the configuration; no file is needed'],
  ['~/.ssh/authorized_keys, ~/.ssh/*.pub', 'keys that may log in, if the configuration names none'],
  ['~/.local/state/hatchway/keys', 'host keys, made at the first start'],
]
const EXITS: readonly (readonly [string, string])[] = [
  ['0', 'done'],
  ['1', 'it could not be done; one line on standard error says why'],
  ['2', 'the configuration or an argument is wrong'],
  ['70', 'a fault of the program itself'],
]

export function manPage(program: Command): string {
  const help = program.createHelp()
  const commands = help.visibleCommands(program).filter((command) => command.name() !== 'help')
  return [
    `.TH HATCHWAY 1 "" "hatchway ${program.version() ?? ''}" "User Commands"`,
    '.SH NAME',
    `hatchway \\- ${text(program.description())}`,
    '.SH SYNOPSIS',
    '.B hatchway\n.I command\n.RI [ options ]',
    '.SH COMMANDS',
    ...commands.flatMap((command) => commandLines(command, 'hatchway')),
    '.SH ENVIRONMENT',
    'Every key of the configuration can be set in the environment:\n.I limits.maxAuthTries\nis\n.BR HATCHWAY_LIMITS_MAX_AUTH_TRIES .',
    '.SH FILES',
    ...FILES.flatMap(tagged),
    '.SH EXIT STATUS',
    ...EXITS.flatMap(tagged),
    '.SH SEE ALSO',
    '.BR ssh (1),\n.BR ssh_config (5),\n.BR sshd_config (5),\n.BR authorized_keys (5)',
    '',
  ].join('\n')
}

function commandLines(command: Command, parent: string): string[] {
  const name = `${parent} ${command.name()}`
  const help = command.createHelp()
  const inner = help.visibleCommands(command).filter((sub) => sub.name() !== 'help')
  if (inner.length > 0) return inner.flatMap((sub) => commandLines(sub, name))
  const usage = command.usage().replace('[options]', '').trim()
  const options = help.visibleOptions(command).filter(({ long }) => long !== '--help')
  return [
    `.SS ${text(`${name} ${usage}`.trim())}`,
    text(help.commandDescription(command)),
    ...help
      .visibleArguments(command)
      .flatMap((argument) => tagged([help.argumentTerm(argument), help.argumentDescription(argument)])),
    ...options.flatMap((option) => tagged([help.optionTerm(option), help.optionDescription(option)])),
  ]
}

function tagged([term, meaning]: readonly [string, string]): string[] {
  return ['.TP', `.B ${text(term)}`, text(meaning)]
}

/** A leading dot or quote is a request to roff, a plain hyphen may become a dash. */
function text(raw: string): string {
  return raw
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replace(/^(?=[.'])/gm, '\\&')
}
