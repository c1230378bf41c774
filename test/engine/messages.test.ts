/** What engines and runtimes were seen to say, and what a user reads of it. The texts are those of real engines. */
import { describe, expect, test } from 'vitest'
import { cliMessage } from '../../src/engine/cli/run.ts'
import {
  couldNotRun,
  engineError,
  mayBeStartFailure,
  START_FAILURE_TEXTS,
  startFailure,
  withoutAttachNoise,
} from '../../src/engine/messages.ts'

const NOISE = 'Error: read unixpacket @->/proc/self/fd/16/attach: read: connection reset by peer\n'
const OCI = 'OCI runtime exec failed: exec failed: unable to start container process: '
const MOUNT = 'Are you trying to mount a directory onto a file (or vice-versa)? Check if the specified host path exists'

/** Text, exit code, and the line; the program is /opt/tool, the directory /nowhere, the user dev. */
const LINES: readonly (readonly [engine: string, text: string, code: number, line: string])[] = [
  [
    'Docker 20.10',
    `${OCI}exec: "/opt/tool": stat /opt/tool: no such file or directory: unknown\r\n`,
    126,
    'command not found',
  ],
  ['Docker 20.10', `${OCI}exec: "tool": executable file not found in $PATH: unknown\r\n`, 126, 'command not found'],
  ['Docker 20.10', `${OCI}exec: "/opt/tool": permission denied: unknown\r\n`, 126, 'permission denied'],
  [
    'Docker 20.10',
    `${OCI}exec: "/opt/tool/x": stat /opt/tool/x: not a directory: unknown: ${MOUNT}\r\n`,
    126,
    'command not found',
  ],
  [
    'Docker 20.10',
    `${OCI}chdir to cwd ("/nowhere") set in config.json failed: no such file or directory: unknown\r\n`,
    126,
    'no such directory',
  ],
  [
    'Docker 20.10',
    `${OCI}chdir to cwd ("/nowhere") set in config.json failed: not a directory: unknown: ${MOUNT}`,
    126,
    'no such directory',
  ],
  ['runc', 'exec /opt/tool: argument list too long\n', 1, 'argument list too long'],
  ['runc', 'exec /opt/tool: exec format error\n', 1, 'wrong format'],
  [
    'crun',
    'Error: crun: executable file `/opt/tool` not found in $PATH: No such file or directory: OCI runtime attempted to invoke a command that was not found\n',
    127,
    'command not found',
  ],
  ['crun', 'Error: crun: open executable: Permission denied: OCI permission denied\n', 126, 'permission denied'],
  ['crun', 'Error: crun: open executable: Operation not permitted: OCI permission denied\n', 126, 'permission denied'],
  ['crun', 'Error: crun: open executable: Not a directory: OCI runtime error\n', 125, 'command not found'],
  [
    'crun',
    'Error: crun: chdir `/nowhere`: No such file or directory: OCI runtime attempted to invoke a command that was not found\n',
    127,
    'no such directory',
  ],
  ['crun', 'Error: crun: chdir `/nowhere`: Not a directory: OCI runtime error\n', 125, 'no such directory'],
  ['crun by the CLI', 'Error: OCI runtime error: crun: chdir `/nowhere`: Not a directory\n', 126, 'no such directory'],
  [
    'crun, newer',
    'Error: crun: chdir to `/nowhere`: No such file or directory: OCI runtime attempted to invoke a command that was not found\n',
    127,
    'no such directory',
  ],
  [
    'crun 1.21',
    'Error: crun: executable file `/opt/tool` not found: No such file or directory: OCI runtime attempted to invoke a command that was not found\n',
    127,
    'command not found',
  ],
  [
    'crun 1.21',
    'Error: crun: the path `/opt/tool` exists but it is not executable: Operation not permitted: OCI permission denied\n',
    126,
    'permission denied',
  ],
  [
    'crun 1.21',
    'Error: crun: the path `/opt/tool` is not a regular file: Operation not permitted: OCI permission denied\n',
    126,
    'permission denied',
  ],
  ['crun 1.21', 'Error: crun: cannot open `/opt/tool`: Not a directory: OCI runtime error\n', 125, 'command not found'],
  ['crun 1.28', 'Error: crun: open `/opt/tool`: Not a directory: OCI runtime error\n', 125, 'command not found'],
  ['crun', 'Error: crun: chdir to `/nowhere`: Permission denied: OCI permission denied\n', 126, 'permission denied'],
  [
    'runc',
    `${OCI}chdir to cwd ("/nowhere") set in config.json failed: permission denied: unknown\r\n`,
    126,
    'permission denied',
  ],
  ['crun', 'exec: Exec format error\n', 1, 'wrong format'],
  ['crun 1.28', 'exec `/opt/tool`: Exec format error\n', 1, 'wrong format'],
  ['crun 1.28', 'exec `/opt/tool`: Argument list too long\n', 1, 'argument list too long'],
  ['crun', 'exec: Argument list too long\n', 1, 'argument list too long'],
]

describe('a program that could not be started is a line and a shell’s code', () => {
  test.each(LINES)('%s: %s', (_engine, said, code, line) => {
    // It is held back from the program's output by its beginning.
    expect(START_FAILURE_TEXTS.some((beginning) => said.startsWith(beginning))).toBe(true)
    for (const text of [said, said + NOISE, NOISE + said].map((words) => cliMessage(withoutAttachNoise(words)))) {
      expect(mayBeStartFailure(text, code)).toBe(true)
      const failure = startFailure(text, '/opt/tool', '/nowhere', { container: 'web', user: 'dev' })
      expect(failure).toMatchObject({
        line: expect.stringContaining(line),
        code: line === 'command not found' ? 127 : 126,
      })
      expect(failure && 'line' in failure && failure.line).toMatch(/^hatchway: \/(opt\/tool|nowhere): /)
    }
  })

  test('a program’s own words with code 1 are its own', () => {
    for (const text of ['exec /opt/tool: exec format error\nand more\n', 'exec: usage\n', 'Error: crun: x\n']) {
      expect(mayBeStartFailure(text, 1), text).toBe(false)
    }
  })
})

test.each([
  ['Container web is paused, unpause the container before exec', 'CONTAINER_NOT_RUNNING', 'container web is paused'],
  [
    'Container web is restarting, wait until the container is running',
    'CONTAINER_NOT_RUNNING',
    'container web is restarting',
  ],
  ['Container 0123 is not running', 'CONTAINER_NOT_RUNNING', 'container web is stopped'],
  [
    'can only create exec sessions on running containers: container state improper',
    'CONTAINER_NOT_RUNNING',
    'container web is stopped',
  ],
  ['No such container: web', 'CONTAINER_NOT_FOUND', 'no container web'],
  ['no container with name or ID "web" found: no such container', 'CONTAINER_NOT_FOUND', 'no container web'],
  ['unable to find user dev: no matching entries in passwd file', 'USER_NOT_FOUND', 'no user dev in the container'],
  ['unable to find group x: no matching entries in group file', 'USER_NOT_FOUND', 'no user dev in the container'],
  ['uids and gids must be in range 0-2147483647', 'USER_NOT_FOUND', 'no user dev in the container'],
] as const)('“%s” is %s', (text, code, message) => {
  expect(engineError(text, { container: 'web', user: 'dev' })).toMatchObject({ code, message })
})

test('of Podman’s own connection nothing is left', () => {
  expect(withoutAttachNoise(NOISE)).toBe('')
  expect(withoutAttachNoise(`a\n${NOISE}b read unixpacket c\n`)).toBe('a\nb read unixpacket c\n')
})

test('the engine’s reason, and not "command not found", where it is something else that is missing', () => {
  const about = { container: 'web', user: 'dev' }
  for (const said of [
    `${OCI}unable to setup user: stat /dev/null: no such file or directory: unknown`,
    'Error: crun: open `/dev/null`: No such file or directory: OCI runtime attempted to invoke a command that was not found',
  ]) {
    const failure = startFailure(said, '/opt/tool', '/', about)
    if (failure === undefined || !('error' in failure)) throw new Error(`${JSON.stringify(failure)}`)
    expect(failure.error.code).toBe('ENGINE_ERROR')
    expect(failure.error.message).toMatch(/^the container engine could not run the program: .*\/dev\/null/)
  }
  // Its own file, not the program's.
  expect(startFailure(`${OCI}stat /opt/tool: no such file or directory`, '/opt/tool', '/', about)).toMatchObject({
    code: 127,
  })
})

test.each([
  `${OCI}unable to setup user: cannot set uid to unmapped user in user namespace: unknown`,
  'Error: runc: exec failed: unable to start container process: setup user: cannot set gid to unmapped user in user namespace: OCI runtime error',
  'Error: crun: setresuid to `100000`: Invalid argument: OCI runtime error',
  'Error: OCI runtime error: crun: cannot setresgid to 100000: Invalid argument',
  'Error: crun: setresgid to `100000`: Invalid argument: OCI runtime error',
  'Error: crun: setgroups: Invalid argument: OCI runtime error',
])('a user that the user namespace does not have is no user: %s', (said) => {
  expect(startFailure(said, '/bin/sh', '/', { container: 'web', user: '100000:100000' })).toMatchObject({
    error: {
      code: 'USER_NOT_FOUND',
      message: 'the container’s user namespace has no user 100000:100000, or not one of its groups',
    },
  })
})

test('no program at all is one that is not found', () => {
  const said = 'Error: crun: open executable: Operation not permitted: OCI permission denied\n'
  expect(startFailure(said, '', '/', {})).toEqual({ line: 'hatchway: : command not found', code: 127 })
})

test('a program that talks like an engine does not tell that the engine is away', () => {
  const said = `${OCI}open /x: no such file or directory: dial unix: cannot connect to the Docker daemon`
  expect(startFailure(said, '/bin/sh', '/', {})).toMatchObject({ error: { code: 'ENGINE_ERROR' } })
  expect(couldNotRun('OCI runtime dial unix', {}).code).toBe('ENGINE_ERROR')
})

test('no path of the engine’s host reaches a user; the log has it', () => {
  for (const said of [
    'evalSymlinksInScope: too many links in /var/lib/docker/overlay2/abc/merged/etc/passwd',
    'error while mounting volume "/srv/secret/data": lstat /srv/secret/data: no such file or directory',
    'mkdir (/data-root/x): permission denied',
  ]) {
    const error = engineError(said, { container: 'web' })
    expect(error).toMatchObject({ code: 'ENGINE_ERROR', cause: { message: said } })
    expect(error.message).not.toContain('/')
  }
  const kept = `${OCI}exec: "/opt/app": stat /opt/app: weird; see https://docs.example/errors`
  expect(engineError(kept, {}).message).toContain(
    'exec: "/opt/app": stat /opt/app: weird; see https://docs.example/errors',
  )
})
