/** The manual page, man(7), made from the program's own commands and options: it cannot be out of date. */
import type { Command } from 'commander'
import { roffText, tagged, verbatim } from './roff.ts'

const FILES: readonly (readonly [string, string])[] = [
  [
    '~/.config/hatchway/hatchway.yaml, /etc/hatchway/hatchway.yaml',
    'the configuration, hatchway.yaml(5); no file is needed',
  ],
  [
    '~/.ssh/authorized_keys, ~/.ssh/*.pub',
    'who may enter, where the configuration does not say; and authorized_keys beside the host keys',
  ],
  ['~/.local/state/hatchway/keys', 'host keys, made at the first start; keys/ of a checkout'],
  [
    '$XDG_RUNTIME_DIR/hatchway, ~/.hatchway, /run/hatchway/control',
    'a socket of each running gateway, for sessions, kill and reload; the last is for root',
  ],
  ['~/.ssh/hatchway/config, ~/.ssh/hatchway/known_hosts', 'written by config-ssh, and included in ~/.ssh/config'],
]

const ENVIRONMENT: readonly (readonly [string, string])[] = [
  ['HATCHWAY_CONFIG', 'the configuration, where --config does not name it'],
  [
    'HATCHWAY_<KEY>',
    'any key of the configuration: limits.maxAuthTries is HATCHWAY_LIMITS_MAX_AUTH_TRIES. It wins over the file, and options win over it',
  ],
  [
    'DOCKER_HOST, DOCKER_CONTEXT, DOCKER_CONFIG',
    'the engine, as for docker(1), where the configuration names none; DOCKER_TLS_VERIFY and DOCKER_CERT_PATH for its certificates',
  ],
  ['HOME, XDG_CONFIG_HOME, XDG_STATE_HOME, XDG_RUNTIME_DIR', 'where the files below are'],
  ['SSH_CONNECTION', 'of stdio: where its client comes from, if stdin is no socket'],
  ['TMPDIR', 'of serve: where files pass through without the helper'],
  [
    'NO_COLOR, HATCHWAY_PICKER=lines',
    'sent by a client (SetEnv in ssh_config): a picker without colours, or of plain lines',
  ],
]

const EXITS: readonly (readonly [string, string])[] = [
  ['0', 'done; of policy explain: allowed; of audit verify: the trail is whole'],
  [
    '1',
    'it could not be done; one line on standard error says why. Of policy explain: refused; of audit verify: it is not; of doctor: it would not work',
  ],
  ['2', 'the configuration or an argument is wrong'],
  ['70', 'a fault of the program itself'],
  ['130', 'Ctrl-C at a question'],
  ['255', 'the engine cannot be reached; of stdio and connect: the client was not served'],
]

const EXAMPLES: readonly (readonly [string, readonly string[]])[] = [
  [
    'For oneself: find what is missing, run the gateway, and make containers hosts of ssh.',
    ['hatchway doctor', 'hatchway serve', 'hatchway config-ssh', 'ssh dev@web'],
  ],
  ['Without config-ssh; behind the last @ is the container.', ['ssh -p 2222 dev@web@127.0.0.1']],
  [
    'See what is wrong with a configuration before it is used, and use it.',
    ['hatchway config check --config new.yaml', 'hatchway reload'],
  ],
  [
    'Who may do what, and why.',
    ['hatchway policy explain alice', 'hatchway policy explain alice dev@web exec rm -rf /'],
  ],
  ['A second factor for alice.', ['umask 077; hatchway totp-secret alice >users/alice.totp']],
  ['Completion in bash.', ['. <(hatchway completion bash)']],
]

export function manPage(program: Command): string {
  const help = program.createHelp()
  const commands = help.visibleCommands(program).filter((command) => command.name() !== 'help')
  return [
    `.TH HATCHWAY 1 "" "hatchway ${program.version() ?? ''}" "User Commands"`,
    '.SH NAME',
    `hatchway \\- ${roffText(program.description())}`,
    '.SH SYNOPSIS',
    '.B hatchway\n.I command\n.RI [ options ]',
    '.SH COMMANDS',
    ...commands.flatMap((command) => commandLines(command, 'hatchway')),
    '.SH ENVIRONMENT',
    ...ENVIRONMENT.flatMap(tagged),
    '.SH FILES',
    ...FILES.flatMap(tagged),
    '.SH EXIT STATUS',
    ...EXITS.flatMap(tagged),
    '.SH EXAMPLES',
    ...EXAMPLES.flatMap(([about, lines]) => ['.PP', roffText(about), ...verbatim(lines)]),
    '.SH SEE ALSO',
    '.BR hatchway.yaml (5),\n.BR ssh (1),\n.BR ssh_config (5),\n.BR sshd_config (5),\n.BR authorized_keys (5)',
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
    `.SS ${roffText(`${name} ${usage}`.trim())}`,
    roffText(help.commandDescription(command)),
    ...help
      .visibleArguments(command)
      .flatMap((argument) => tagged([help.argumentTerm(argument), help.argumentDescription(argument)])),
    ...options.flatMap((option) => tagged([help.optionTerm(option), help.optionDescription(option)])),
  ]
}
