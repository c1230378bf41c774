/** Restrictions of a key as sshd has them: channels.c open_match() and remote_open_match(), session.c do_exec(). */
import { describe, expect, test } from 'vitest'
import { type Restrictions, UNRESTRICTED } from '../../src/auth/restrictions.ts'
import { effectiveStart } from '../../src/policy/forced.ts'
import type { Action } from '../../src/policy/request.ts'
import { takenAway } from '../../src/policy/restrictions.ts'

const NOW = 1_800_000_000_000
const local = (host: string, port: number): Action => ({ kind: 'forward-local', host, port })
const remote = (host: string, port: number): Action => ({ kind: 'forward-remote', host, port })
const socket = (direction: 'local' | 'remote'): Action => ({ kind: 'forward-socket', path: '/run/x', direction })
const exec: Action = { kind: 'exec', command: Buffer.from('true') }

const ROWS: readonly [what: string, taken: Partial<Restrictions>, action: Action, allowed: boolean][] = [
  ['nothing taken: terminal', {}, { kind: 'pty' }, true],
  ['nothing taken: forward', {}, local('db', 5432), true],
  ['nothing taken: listen', {}, remote('', 0), true],
  ['no-pty', { pty: false }, { kind: 'pty' }, false],
  ['no-pty leaves the shell', { pty: false }, { kind: 'shell' }, true],
  ['no-agent-forwarding', { agentForwarding: false }, { kind: 'agent' }, false],
  ['no-agent-forwarding leaves X11', { agentForwarding: false }, { kind: 'x11' }, true],
  ['no-X11-forwarding', { x11Forwarding: false }, { kind: 'x11' }, false],
  ['no-port-forwarding: -L', { portForwarding: false }, local('localhost', 80), false],
  ['no-port-forwarding: -R', { portForwarding: false }, remote('localhost', 8080), false],
  ['no-port-forwarding: socket -L', { portForwarding: false }, socket('local'), false],
  ['no-port-forwarding: socket -R', { portForwarding: false }, socket('remote'), false],
  ['no-port-forwarding leaves exec', { portForwarding: false }, exec, true],
  ['no-port-forwarding wins over permitopen', { portForwarding: false, permitOpen: [['*:*']] }, local('a', 1), false],
  ['permitopen: the same', { permitOpen: [['db:5432']] }, local('db', 5432), true],
  ['permitopen: another port', { permitOpen: [['db:5432']] }, local('db', 5433), false],
  ['permitopen: another host', { permitOpen: [['db:5432']] }, local('db2', 5432), false],
  ['permitopen: the case of a host counts', { permitOpen: [['db:5432']] }, local('DB', 5432), false],
  ['permitopen: another spelling of the address', { permitOpen: [['127.0.0.1:80']] }, local('0x7f.1', 80), true],
  ['permitopen: an address listed in another spelling', { permitOpen: [['127.1:80']] }, local('127.0.0.1', 80), true],
  ['permitopen: another address', { permitOpen: [['127.0.0.1:80']] }, local('127.2', 80), false],
  ['permitopen: any port', { permitOpen: [['db:*']] }, local('db', 1), true],
  ['permitopen: any host', { permitOpen: [['*:80']] }, local('x', 80), true],
  ['permitopen: no patterns but *', { permitOpen: [['d*:80']] }, local('db', 80), false],
  ['permitopen: [v6]', { permitOpen: [['[::1]:80']] }, local('::1', 80), true],
  ['permitopen: one of several', { permitOpen: [['a:1', 'b:2']] }, local('b', 2), true],
  ['permitopen: nothing listed', { permitOpen: [[]] }, local('b', 2), false],
  ['permitopen: an unreadable entry permits nothing', { permitOpen: [['*']] }, local('b', 2), false],
  ['permitopen says nothing of -R', { permitOpen: [['a:1']] }, remote('localhost', 8080), true],
  ['permitopen: no sockets', { permitOpen: [['*:*']] }, socket('local'), false],
  ['permitopen: sockets of -R are not its matter', { permitOpen: [['*:*']] }, socket('remote'), true],
  ['permitlisten: a port alone', { permitListen: [['8080']] }, remote('localhost', 8080), true],
  ['permitlisten: a port alone, another', { permitListen: [['8080']] }, remote('localhost', 8081), false],
  ['permitlisten: port 0 is not any', { permitListen: [['8080']] }, remote('localhost', 0), false],
  ['permitlisten: host and port', { permitListen: [['localhost:8080']] }, remote('localhost', 8080), true],
  [
    'permitlisten: the case of a host does not count',
    { permitListen: [['localhost:8080']] },
    remote('LOCALHOST', 8080),
    true,
  ],
  ['permitlisten: another spelling of the address', { permitListen: [['127.0.0.1:80']] }, remote('127.1', 80), true],
  ['permitlisten: another address', { permitListen: [['127.0.0.1:80']] }, remote('127.2', 80), false],
  ['permitlisten: a host pattern', { permitListen: [['local*:8080']] }, remote('localhost', 8080), true],
  ['permitlisten: any port', { permitListen: [['localhost:*']] }, remote('localhost', 0), true],
  ['permitlisten: the empty host is another', { permitListen: [['localhost:8080']] }, remote('', 8080), false],
  ['permitlisten: * is also the empty host', { permitListen: [['*:8080']] }, remote('', 8080), true],
  ['permitlisten says nothing of -L', { permitListen: [['8080']] }, local('db', 1), true],
  ['permitlisten: no sockets', { permitListen: [['*:*']] }, socket('remote'), false],
  ['expired', { expiresAt: NOW }, { kind: 'enter' }, false],
  ['expired: everything', { expiresAt: NOW - 1 }, exec, false],
  ['not yet expired', { expiresAt: NOW + 1 }, exec, true],
]

describe('what a key takes away', () => {
  test.each(ROWS)('%s', (_, taken, action, allowed) => {
    expect(takenAway({ ...UNRESTRICTED, ...taken }, action, NOW) === undefined).toBe(allowed)
  })
})

describe('a forced command', () => {
  const run = (command: string) => ({ kind: 'exec', command: Buffer.from(command) }) as const

  test('none: what the client asked for', () => {
    expect(effectiveStart(run('id'), undefined)).toEqual({
      start: run('id'),
      sftp: { internal: false, readOnly: false },
    })
  })

  test('stands in for a shell, a command, sftp', () => {
    const sftp = { internal: false, readOnly: false }
    expect(effectiveStart({ kind: 'shell' }, 'backup')).toEqual({ start: run('backup'), sftp })
    expect(effectiveStart(run('rm -rf /'), 'backup')).toEqual({ start: run('backup'), sftp, original: 'rm -rf /' })
    expect(effectiveStart({ kind: 'subsystem', name: 'sftp' }, 'backup')).toEqual({
      start: run('backup'),
      sftp,
      original: 'internal-sftp',
    })
  })

  test('internal-sftp serves sftp with its options, and nothing else', () => {
    const sftp = { kind: 'subsystem', name: 'sftp' } as const
    expect(effectiveStart(sftp, 'internal-sftp')).toMatchObject({
      start: sftp,
      sftp: { internal: true, readOnly: false },
    })
    expect(effectiveStart(sftp, 'internal-sftp -R -d /srv')).toMatchObject({
      sftp: { readOnly: true, directory: '/srv' },
    })
    expect(effectiveStart(sftp, 'internal-sftp -f AUTH -l INFO\t-R')).toMatchObject({ sftp: { readOnly: true } })
    for (const start of [run('sh'), { kind: 'shell' } as const]) {
      expect(() => effectiveStart(start, 'internal-sftp')).toThrow('This service allows sftp connections only.')
    }
  })

  test('an option of internal-sftp that is not known may be a restriction: refused', () => {
    expect(() => effectiveStart({ kind: 'subsystem', name: 'sftp' }, 'internal-sftp -P write')).toThrow(
      /not served: -P/,
    )
  })

  test('a program whose name only begins that way is a program', () => {
    expect(effectiveStart({ kind: 'shell' }, 'internal-sftp2').start).toEqual(run('internal-sftp2'))
  })
})
