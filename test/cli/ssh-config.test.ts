/** What config-ssh writes: text that holds nothing a container's name could put there, and a line that goes in once. */
import { expect, test } from 'vitest'
import { entries, knownHostsText, optionLines, portablePath } from '../../src/cli/ssh-config/entries.ts'
import { gatewayOf, parseAnswer } from '../../src/cli/ssh-config/from-gateway.ts'
import { chosenHosts } from '../../src/cli/ssh-config/hosts.ts'
import { hasInline, withInclude, withInline, withoutOurs } from '../../src/cli/ssh-config/include.ts'
import { namesOfConfig, namesOfKnownHosts } from '../../src/cli/ssh-config/taken.ts'
import { isHostName } from '../../src/container/host-names.ts'

const settings = {
  connect: ['/opt/no de/node', "/it's/100%/main.js", 'connect', '--gateway', '127.0.0.1:2222', '--'],
  hosts: ['web'],
  suffixes: ['.ctr'],
  knownHosts: '/home/me/.ssh/hatchway/known_hosts',
  options: [],
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
    expect(withoutOurs(once, file)).toBe(text)
    const other = withInclude(once, '/home/me/.ssh/hatchway/gw-2222.config')
    expect(withoutOurs(withoutOurs(other, '/home/me/.ssh/hatchway/gw-2222.config'), file)).toBe(text)
    expect(withoutOurs(other, file).trimEnd()).toBe(
      withInclude(text, '/home/me/.ssh/hatchway/gw-2222.config').trimEnd(),
    )
    const inline = withInline(once, file, '\nHost web\n  User @\n')
    expect([hasInline(once, file), hasInline(inline, file)]).toEqual([false, true])
    expect(inline).not.toContain('Include')
    expect(withInline(inline, file, '\nHost web\n  User @\n')).toBe(inline)
    expect(withInclude(inline, file)).toBe(once)
    expect(withoutOurs(inline, file)).toBe(text)
    expect(withoutOurs(text, file)).toBe(text)
  },
)

test('a line that its owner moved is neither put in again nor left', () => {
  const moved = `Host x\n  User y\n\nHost *\n  Include "${file}"\n`
  expect(withInclude(moved, file)).toBe(moved)
  expect(withoutOurs(moved, file)).toBe('Host x\n  User y\n\nHost *\n')
})

test.each([
  [
    ['ForwardAgent=yes', ' ServerAliveInterval  30'],
    ['ForwardAgent yes', 'ServerAliveInterval 30'],
  ],
  [['ProxyCommand C:\\x\\ssh.exe -W [%h]:%p gw'], ['ProxyCommand C:\\x\\ssh.exe -W [%h]:%p gw']],
])('-o %j is written as ssh takes it', (given, lines) => expect(optionLines(given)).toEqual(lines))

test.each(['Host=x', 'match all', 'Include /etc/x', 'User', 'User=', 'User=a\nHost *', 'a-b=c', ''])(
  '-o %j is no setting of a host',
  (option) => expect(() => optionLines([option])).toThrow('no option of a host'),
)

test('Windows gets a path that its ssh reads, quotes and all', () => {
  const home = 'C:\\Users\\me'
  expect(portablePath('C:\\Users\\me\\.ssh\\hatchway\\config', 'win32', home)).toBe('~/.ssh/hatchway/config')
  expect(portablePath('D:\\keys\\config', 'win32', home)).toBe('D:/keys/config')
  expect(portablePath('/home/me/a\\b', 'linux', '/home/me')).toBe('/home/me/a\\b')
})

test('what is known already stays what it was: a name, a suffix that another gateway has', async () => {
  const found = ['box', 'db.shop', 'web'].map((name) => ({ name, running: name === 'web' }))
  const among = (...known: string[]) =>
    chosenHosts(found, ['.ctr'], {
      host: async (name) => known.includes(name),
      suffix: async (suffix) => known.includes(suffix),
    })
  expect(await among('box')).toEqual({
    served: ['box.ctr', 'db.shop.ctr', 'web'],
    suffixes: ['.ctr'],
    taken: ['box'],
    example: 'web',
  })
  expect(await among('web', '.ctr')).toEqual({
    served: ['box'],
    suffixes: [],
    taken: ['web', 'NAME.ctr'],
    example: undefined,
  })
})

test('a name with the suffix that is known already is no host either', async () => {
  const taken = { host: async (name: string) => ['box', 'box.ctr'].includes(name), suffix: async () => false }
  expect(await chosenHosts([{ name: 'box', running: true }], ['.ctr'], taken)).toEqual({
    served: [],
    suffixes: ['.ctr'],
    taken: ['box', 'box.ctr'],
    example: undefined,
  })
})

test('hosts that a person’s files name are found, with what they lead to and through', () => {
  const config =
    'Host a *.prod "b.x"\n\thostname=C.corp\n  ProxyJump me@d.corp:22,e.corp\n#Host no\n  HostKeyAlias no\n'
  expect(namesOfConfig(config)).toEqual(expect.arrayContaining(['a', '*.prod', 'b.x', 'c.corp', 'd.corp', 'e.corp']))
  expect(namesOfConfig(config)).not.toContain('no')
  const known = '# no\n|1|no= ssh-ed25519 A\n[a.prod]:2222,b.prod ssh-ed25519 A\n@cert-authority *.c ssh-rsa A\n'
  expect(namesOfKnownHosts(known).filter((name) => name !== '')).toEqual(['a.prod', 'b.prod', '*.c'])
})

const key = `ssh-ed25519 ${'A'.repeat(68)}`
const answer = { hostKeys: [key], suffixes: ['.ctr'], hosts: [{ name: 'web', running: true }] }

test.each([
  ['no JSON', 'bash: config-ssh: command not found'],
  ['a host key with a second line', JSON.stringify({ ...answer, hostKeys: [`${key}\n* ssh-ed25519 AAAA`] })],
  ['a host key for other hosts', JSON.stringify({ ...answer, hostKeys: [`@cert-authority * ${key}`] })],
  ['no host key', JSON.stringify({ ...answer, hostKeys: [] })],
  ['a suffix that is a pattern', JSON.stringify({ ...answer, suffixes: ['.ctr *'] })],
  ['a name that is no text', JSON.stringify({ ...answer, hosts: [{ name: 1, running: true }] })],
  ['more hosts than anybody has', JSON.stringify({ ...answer, hosts: Array(20_001).fill(answer.hosts[0]) })],
])('a gateway that answers %s is not believed', (_what, text) =>
  expect(() => parseAnswer(text, 'gw:2222')).toThrow('what gw:2222 answered are no hosts'),
)

test.each([
  ['gw:2222', { login: '@', host: 'gw', port: 2222 }],
  ['[::1]:22', { login: '@', host: '::1', port: 22 }],
  ['alice=@gw.example:2222', { login: 'alice=', host: 'gw.example', port: 2222 }],
  ['@@gw:1', { login: '@', host: 'gw', port: 1 }],
])('--gateway %s is a place to jump from', async (text, jump) => expect(await gatewayOf(text, [])).toEqual(jump))

test.each(['', 'gw:0', '-oProxyCommand=x', 'gw -v', 'a/b:1', '::1', '$(id)@gw:1', '-l@gw:1', 'gw:22\n', "a'b@gw:1"])(
  '--gateway %j is none',
  async (text) => await expect(gatewayOf(text, [])).rejects.toThrow('no gateway'),
)

test('a gateway that answers well is', () => expect(parseAnswer(JSON.stringify(answer), 'gw:2222')).toEqual(answer))
