/** What config-ssh writes: text that holds nothing a container's name could put there, and a line that goes in once. */
import { expect, test } from 'vitest'
import { entries, isHostName, knownHostsText } from '../../src/cli/ssh-config/entries.ts'
import { withInclude, withoutInclude } from '../../src/cli/ssh-config/include.ts'

const settings = {
  connect: ['/opt/no de/node', "/it's/100%/main.js", 'connect', '--gateway', '127.0.0.1:2222', '--'],
  hosts: ['web'],
  suffixes: ['.ctr'],
  knownHosts: '/home/me/.ssh/hatchway/known_hosts',
}

test('an entry carries the container in its ProxyCommand, and pins the gateway’s key', () => {
  const command = `'/opt/no de/node' '/it'\\''s/100%%/main.js' connect --gateway 127.0.0.1:2222 --`
  const block = (pattern: string, name: string) => [
    `Host ${pattern}`,
    `  ProxyCommand ${command} ${name}`,
    '  Port 22',
    '  User @',
    '  HostKeyAlias hatchway',
    '  UserKnownHostsFile "/home/me/.ssh/hatchway/known_hosts"',
    '  StrictHostKeyChecking yes',
    '  UpdateHostKeys no',
    '',
  ]
  expect(entries(settings).split('\n').slice(2)).toEqual([...block('web', 'web'), ...block('*.ctr', "'%h'")])
})

test.each([
  ['web', true],
  ['web.shop', true],
  ['Web_1', true],
  ['*', false],
  ['web other', false],
  ['web\nHost *', false],
  ['-oProxyCommand=x', false],
  ['$(id)', false],
  ['"', false],
  ['!web', false],
  ['', false],
])('%j as a host: %s', (name, may) => expect(isHostName(name)).toBe(may))

test('known_hosts has every key by one name', () => {
  const keys = [{ type: 'ssh-ed25519', blob: Buffer.from('abc') }]
  expect(knownHostsText(keys)).toBe('hatchway ssh-ed25519 YWJj\n')
})

const file = '/home/me/.ssh/hatchway/config'

test.each(['', 'Host x\n  User y\n', '\n\nHost x', '# mine\n', 'Host x\r\n  User y\r\n'])(
  'the line goes to the top of %j once, and out again to the byte',
  (text) => {
    const once = withInclude(text, file)
    expect(once.split('\n')[1]).toBe(`Include "${file}"`)
    expect(withInclude(once, file)).toBe(once)
    expect(withoutInclude(once, file)).toBe(text)
    expect(withoutInclude(text, file)).toBe(text)
  },
)

test('a line that its owner moved is neither put in again nor left', () => {
  const moved = `Host x\n  User y\n\nHost *\n  Include "${file}"\n`
  expect(withInclude(moved, file)).toBe(moved)
  expect(withoutInclude(moved, file)).toBe('Host x\n  User y\n\nHost *\n')
})
