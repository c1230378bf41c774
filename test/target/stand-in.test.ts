import { expect, test } from 'vitest'
import { standIn } from '../../src/target/stand-in.ts'

const ask = (command: string, shell = '/bin/bash') => standIn(Buffer.from(command), shell)

test.each([
  'scp -t /tmp',
  'scp -r -p -f ~/x*',
  '/usr/lib/openssh/sftp-server',
  'sftp-server',
  'rsync --server -e.LsfxCIvu . /x',
])('%s gets a prelude, and ends untouched', (command) => {
  expect(ask(command)?.command.toString().endsWith(`\n${command}`)).toBe(true)
})

test.each([
  'echo scp -t',
  'scpx -t',
  './scp -t x',
  'exec scp -t x',
  'cat; scp x',
  'rsyncd ',
  '/opt/$(id)/sftp-server',
  'x/sftp-server',
])('%s is left alone', (command) => {
  expect(ask(command)).toBeUndefined()
})

test('a shell of another grammar gets its command as it came', () => {
  expect(ask('scp -t x', '/usr/bin/fish')).toBeUndefined()
  expect(ask('scp -t x', '/bin/tcsh')).toBeUndefined()
})

test('bytes that are no UTF-8 stay what they were', () => {
  const command = Buffer.concat([Buffer.from('scp -t '), Buffer.from([0xff, 0xfe])])
  expect(standIn(command, '/bin/sh')?.command.subarray(-command.length)).toEqual(command)
})
