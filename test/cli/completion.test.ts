/** Completion as bash asks for it, with values of a configuration, of a running gateway and of the program. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { joinedWords } from '../../src/cli/completion.ts'
import { valuesOf } from '../../src/cli/completion-values.ts'
import { type Control, openControl } from '../../src/control/server.ts'
import { hatchway, MAIN } from '../support/program.ts'
import { run } from '../support/run.ts'

vi.setConfig({ testTimeout: 120_000 })

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'hw-test-complete-'))
  writeFileSync(
    join(folder, 'hatchway.yaml'),
    `users: { alice: { groups: [dev] }, bob: {} }
rules: [{ who: { identities: [carol, 'd*'] } }]
templates: { node: { image: 'node:22' } }
`,
  )
})
afterAll(() => rmSync(folder, { recursive: true }))

async function complete(...words: string[]) {
  const env = { HOME: folder, HATCHWAY_CONFIG: join(folder, 'hatchway.yaml'), DOCKER_HOST: 'unix:///nonexistent.sock' }
  const { code, out } = await hatchway(['complete', '--', ...words], env)
  expect(code).toBe(0)
  return out.split('\n').flatMap((line) => (line === '' || line.startsWith(':') ? [] : [line.split('\t')[0]]))
}

const SEEN = { identity: { name: 'by-key', fingerprint: 'SHA256:x' }, remote: { address: '::1', port: 1 } }

describe('what is offered', () => {
  it.each([
    [['pol'], ['policy']],
    [
      ['policy', ''],
      ['explain', 'check', 'schema', 'help'],
    ],
    [
      ['policy', 'explain', ''],
      ['alice', 'bob', 'carol'],
    ],
    [['policy', 'explain', 'alice', '+'], ['+node']],
    [['policy', 'explain', 'alice', 'dev@+n'], ['dev@+node']],
    [
      ['policy', 'explain', 'alice', 'dev@web', 'f'],
      ['forward-local', 'forward-remote', 'forward-socket'],
    ],
    [['policy', 'explain', 'alice', '--group', ''], ['dev']],
    [['serve', '--engine', 'd'], ['docker']],
    [
      ['serve', '--guest', ''],
      ['auto', 'off', 'require'],
    ],
    [['serve', '--log-level', 'w'], ['warn']],
    [['ls', '--w'], ['--wide']],
    [['totp-secret', 'b'], ['bob']],
    [['doctor', 'we'], []],
  ])('%j: %j', async (words, expected) => expect(await complete(...words)).toEqual(expected))

  it('what can be ended, from the gateways that run', async () => {
    const path = join(folder, 'control.sock')
    const sessions = [
      {
        ...{ id: 'c0ffee01', state: 'running', connectionId: 'c1', user: 'dev\u001b]0;x\t', start: 'shell', tty: true },
        ...SEEN,
        ...{ container: { id: 'a'.repeat(64), name: 'web' }, bytesIn: 0, bytesOut: 0, activeAt: 1, createdAt: 1 },
      },
    ]
    const connections = [
      {
        ...{ ...SEEN, connectionId: 'beef01', container: { id: 'b'.repeat(64), name: 'db' }, login: 'dev' },
        ...{ connectedAt: 1, activeAt: 1, bytesIn: 0, bytesOut: 0, sessions, forwards: [], listeners: [] },
      },
    ]
    const control: Control = await openControl(path, {
      status: () => ({ pid: 42, startedAt: 1, endpoints: [], hostKeys: [] }),
      sessions: () => sessions as never,
      connections: () => connections as never,
      kill: () => false,
      killConnection: () => false,
      reload: async () => ({ keys: 0, problems: [], restart: [], ended: 0 }),
      restart: async () => ({ open: 0 }),
      drain: async () => ({ open: 0 }),
      adminToken: () => undefined,
    })
    try {
      expect(await complete('kill', '--control-socket', path, 'c0')).toEqual(['c0ffee01'])
      const [shown] = await valuesOf('sessions', ['--control-socket', path])
      expect(shown?.description).toBe('by-key: dev\\x1b]0;x\\x09@web')
      expect(await complete('kill', '--control-socket', path, '--connection', '')).toEqual(['beef01'])
      expect(await complete('kill', '--control-socket', path, '--identity', '')).toEqual(['by-key'])
      expect(await complete('kill', '--control-socket', path, '--container', '')).toEqual(['db', 'web'])
    } finally {
      await control.close()
    }
  })
})

describe('in bash', () => {
  it('sourcing it twice is harmless, a value that was typed is not run, and a word is replaced from its @ on', async () => {
    const script = `
      set -e
      hatchway() { '${process.execPath}' '${MAIN}' "$@"; }
      . <(hatchway completion bash); . <(hatchway completion bash)
      COMP_WORDS=(hatchway policy explain alice dev @ +n); COMP_CWORD=6
      __hatchway_complete; echo "<\${COMPREPLY[*]}>"
      COMP_WORDS=(hatchway serve --engine = d); COMP_CWORD=4
      __hatchway_complete; echo "<\${COMPREPLY[*]}>"
      COMP_WORDS=(hatchway totp-secret '$(touch ${folder}/run)' ''); COMP_CWORD=3
      __hatchway_complete
      complete -p hatchway
    `
    const env = {
      HOME: folder,
      HATCHWAY_CONFIG: join(folder, 'hatchway.yaml'),
      DOCKER_HOST: 'unix:///nonexistent.sock',
    }
    const { code, stdout, stderr } = await run('bash', ['-c', script], { env, limit: 60_000 })
    expect([code, stderr.toString()]).toEqual([0, ''])
    expect(stdout.toString()).toBe('<+node>\n<docker>\ncomplete -o default -F __hatchway_complete hatchway\n')
    expect((await run('test', ['-e', join(folder, 'run')])).code).toBe(1)
  })

  it.each([
    [['doctor', 'dev', '@', 'we'], ['doctor', 'dev@we'], 'dev@'],
    [['doctor', 'dev', '@'], ['doctor', 'dev@'], 'dev@'],
    [['doctor', 'dev@we'], ['doctor', 'dev@we'], ''],
    [['serve', '--engine', '=', 'do'], ['serve', '--engine', 'do'], ''],
    [['serve', '--engine', '='], ['serve', '--engine', ''], ''],
    [['doctor', 'dev', '@', 'web', '--e'], ['doctor', 'dev@web', '--e'], ''],
  ])('%j is %j', (words, typed, cut) => expect(joinedWords(words)).toEqual({ typed, cut }))
})

it.each(['zsh', 'fish', 'powershell'])('there is a script for %s', async (shell) => {
  const { code, out } = await hatchway(['completion', shell])
  expect([code, out]).toEqual([0, expect.stringContaining('hatchway')])
})
