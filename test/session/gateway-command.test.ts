/** Commands for the gateway itself: which words are one, and what they answer. */
import { expect, test } from 'vitest'
import { deferred } from '../../src/lifetime/deferred.ts'
import { containerEntry, templateEntry } from '../../src/picker/entry.ts'
import { createAnswers, gatewayCommand } from '../../src/session/gateway-command.ts'
import { hostPort, jumpBlocks } from '../../src/session/host-block.ts'
import type { SessionStart, SshSession } from '../../src/ssh/session.ts'
import { anna, web } from '../support/people-and-places.ts'

const exec = (command: string): SessionStart => ({ kind: 'exec', command: Buffer.from(command) })
const v6 = { host: '::1', port: 2222 }

test.each([
  ['ls', { name: 'ls', json: false }],
  ['ls --json', { name: 'ls', json: true }],
  ['config-ssh', { name: 'config-ssh', json: false }],
  ['config-ssh --json', { name: 'config-ssh', json: true }],
  ['config-ssh gw.example:2222', { name: 'config-ssh', json: false, address: { host: 'gw.example', port: 2222 } }],
  ['config-ssh gw', { name: 'config-ssh', json: false, address: { host: 'gw', port: undefined } }],
  ['config-ssh [::1]:2222', { name: 'config-ssh', json: false, address: v6 }],
])('%j is a command for the gateway', (command, asked) => expect(gatewayCommand(exec(command))).toEqual(asked))

test.each([
  'ls -la',
  'ls ',
  ' ls',
  'ls\n',
  'ls --json --json',
  '/bin/ls',
  'config-ssh -oProxyCommand=x',
  'config-ssh gw\nHost',
  'config-ssh gw:0',
  'config-ssh gw:65536',
  'config-ssh [gw]:22',
  'config-ssh ::1',
  'config-ssh *',
  'config-ssh a"b',
  `config-ssh ${'a'.repeat(600)}`,
  '',
])('%j is none', (command) => expect(gatewayCommand(exec(command))).toBeUndefined())

test('neither is a shell, nor sftp', () => {
  expect(gatewayCommand({ kind: 'shell' })).toBeUndefined()
  expect(gatewayCommand({ kind: 'subsystem', name: 'ls' })).toBeUndefined()
})

interface More {
  readonly pty?: boolean
  readonly word?: string
  readonly user?: string
  readonly address?: string
  readonly suffixes?: readonly string[]
}

async function answerTo(command: string, more: More = {}) {
  const out = ['', '', '']
  const session = {
    start: exec(command),
    ...(more.pty && { pty: {} }),
    write(fd: 1 | 2, chunk: Buffer) {
      out[fd] += chunk.toString()
      return true
    },
  } as unknown as SshSession
  const asked = gatewayCommand(session.start)
  if (!asked) throw new Error('no command')
  const question = {
    ...(more.word !== undefined && { word: more.word }),
    entries: async () => [
      templateEntry('node', 'fresh', 'node:22'),
      containerEntry({ ...web, createdAt: 0, ports: [], image: 'a\u001b[2J', status: 'Up' }, true),
    ],
    unanswered: async () => [],
    hosts: async () => [
      { name: 'db.shop', running: false },
      { name: 'web', running: true },
    ],
    choose: async () => {},
  }
  const connection = {
    identity: anna,
    user: more.user ?? '@',
    local: { address: more.address ?? '192.0.2.7', port: 2222 },
  }
  const answer = createAnswers({ hostKeys: ['ssh-ed25519 AAAA'], hostSuffixes: more.suffixes ?? ['.ctr'] })
  await answer(session, asked, question, connection, new AbortController().signal)
  return { stdout: out[1] ?? '', stderr: out[2] ?? '' }
}

test('ls lists what one may enter, running ones first; on a terminal with its line ends', async () => {
  const text = 'web\tUp\ta\\x1b[2J\t\n+node\tmade for this connection\tnode:22\t\n'
  expect(await answerTo('ls')).toEqual({ stdout: text, stderr: '' })
  expect((await answerTo('ls', { pty: true })).stdout).toBe(text.replaceAll('\n', '\r\n'))
  expect(JSON.parse((await answerTo('ls --json')).stdout)).toEqual([
    { name: 'web', compose: '', image: 'a\\x1b[2J', state: 'running', status: 'Up' },
    { name: '+node', compose: '', image: 'node:22', state: 'template', status: 'made for this connection' },
  ])
})

test('a word that is a slip in a container’s name is said: the command was for that one', async () => {
  expect((await answerTo('ls', { word: 'wbe' })).stderr).toBe(
    'hatchway: no container "wbe" (did you mean web?): this is the gateway\'s own list\n',
  )
  expect((await answerTo('ls', { word: 'alice' })).stderr).toBe('')
})

test('config-ssh is a text for ssh_config, with names that no host has', async () => {
  const text = (at: string, known: string, login = '@') =>
    [
      `# Hosts for ssh_config: what you may enter at ${at}.`,
      '# The same as lines of known_hosts:',
      `#   ${known} ssh-ed25519 AAAA`,
      '',
      'Host db.shop.ctr web.ctr *.ctr',
      `  ProxyJump ${login}@${at}`,
      '  Port 22',
      '  User @',
      `  HostKeyAlias ${known}`,
      '',
    ].join('\n')
  expect((await answerTo('config-ssh')).stdout).toBe(text('192.0.2.7:2222', '[192.0.2.7]:2222'))
  expect((await answerTo('config-ssh gw:22')).stdout).toBe(text('gw:22', 'gw'))
  expect((await answerTo('config-ssh gw', { user: 'alice=@' })).stdout).toBe(text('gw:2222', '[gw]:2222', 'alice=@'))
  expect((await answerTo('config-ssh', { address: '::1' })).stdout).toBe(text('[::1]:2222', '[::1]:2222'))
  await expect(answerTo('config-ssh', { address: 'UNKNOWN' })).rejects.toThrow('config-ssh HOST:PORT')
  expect(JSON.parse((await answerTo('config-ssh --json')).stdout)).toEqual({
    hostKeys: ['ssh-ed25519 AAAA'],
    suffixes: ['.ctr'],
    hosts: [
      { name: 'db.shop', running: false },
      { name: 'web', running: true },
    ],
  })
})

test('without a suffix no name with a dot is a host: a container called github.com takes nobody’s git', async () => {
  const { stdout } = await answerTo('config-ssh', { suffixes: [] })
  expect(stdout.match(/^Host .*$/gm)).toEqual(['Host web'])
})

test('an identity’s questions are answered one after the other, those of others meanwhile; who leaves does not wait', async () => {
  const answer = createAnswers({ hostKeys: [], hostSuffixes: [] })
  const asked: string[] = []
  const first = deferred()
  const ask = (name: string, until: Promise<void> = Promise.resolve(), signal = new AbortController().signal) => {
    const question = {
      entries: async () => {
        asked.push(name)
        await until
        return []
      },
      unanswered: async () => [],
      hosts: async () => [],
      choose: async () => {},
    }
    const connection = { identity: { name: name[0] ?? '' }, user: '@', local: { address: '::1', port: 22 } }
    const session = { write: () => true } as unknown as SshSession
    return answer(session, { name: 'ls', json: false }, question, connection, signal)
  }
  const gone = new AbortController()
  const one = ask('a1', first.promise)
  const two = ask('a2', Promise.resolve(), gone.signal)
  const three = ask('a3')
  await ask('b')
  expect(asked).toEqual(['a1', 'b'])
  gone.abort(new Error('the client went away'))
  await expect(two).rejects.toThrow('the client went away')
  first.resolve()
  await Promise.all([one, three])
  expect(asked).toEqual(['a1', 'b', 'a3'])
})

test('a gateway never jumps through itself', async () => {
  const { stdout } = await answerTo('config-ssh web.ctr:2222')
  expect(stdout).toContain('\nHost db.shop.ctr\n')
})

test('many names are several blocks: old clients take no line of 4096 bytes', () => {
  const names = Array.from({ length: 300 }, (_, index) => `container-number-${index}`)
  const blocks = jumpBlocks(names, { login: '@', ...v6 }, ['ForwardAgent yes'], [])
  const lines = blocks.split('\n')
  expect(Math.max(...lines.map((line) => line.length))).toBeLessThan(2100)
  expect(blocks.match(/[\w-]*number[\w-]*/g)).toEqual(names)
  expect(lines.filter((line) => line === `  ProxyJump @@${hostPort(v6)}`)).toHaveLength(4)
})
