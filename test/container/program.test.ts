import { expect, test } from 'vitest'
import { refusesLogin, sessionProgram, shellArgv } from '../../src/container/program.ts'
import { plainWords } from '../../src/container/run.ts'

const info = {
  name: 'dev',
  uid: 1000,
  gid: 1000,
  home: '/home/dev',
  shell: '/bin/zsh',
  engineUser: 'dev',
  entry: true,
  known: true,
}

test('no command: the login shell, named with a dash', () => {
  const program = sessionProgram({ kind: 'shell' }, info, [])
  expect(shellArgv(program, program.shell)).toEqual(['-zsh'])
})

test('a command goes to the shell as one argument, byte for byte', () => {
  const command = Buffer.from([0x65, 0x63, 0x68, 0x6f, 0x20, 0xff, 0x27, 0x0a])
  const program = sessionProgram({ kind: 'exec', command }, info, [])
  expect(shellArgv(program, '/bin/sh')).toEqual(['sh', '-c', command])
})

test('shells to fall back to do not repeat the first', () => {
  expect(sessionProgram({ kind: 'shell' }, info, []).fallbackShells).toEqual(['/bin/bash', '/bin/sh'])
  expect(sessionProgram({ kind: 'shell' }, { ...info, shell: '/bin/sh' }, []).fallbackShells).toEqual(['/bin/bash'])
})

test.each(['/usr/sbin/nologin', '/sbin/nologin', '/bin/false'])('%s lets nobody in', (shell) => {
  expect(refusesLogin(shell)).toBe(true)
})

test('without a shell only a command that means nothing to one is split', () => {
  expect(plainWords(Buffer.from(' /prog  --a=b c '))).toEqual(['/prog', '--a=b', 'c'])
  for (const command of ['a; b', 'a $B', "a 'b'", 'a | b', 'A=b c', '', 'a\nb', 'a *']) {
    expect(plainWords(Buffer.from(command))).toBeUndefined()
  }
  expect(plainWords(undefined)).toBeUndefined()
})
