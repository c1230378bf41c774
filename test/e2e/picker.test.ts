/** `ssh gateway` with no container named: issue 8, point 6. */
import { spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { stripVTControlCharacters } from 'node:util'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { codeAt } from '../../src/auth/totp.ts'
import { parseTotp } from '../../src/config/secrets.ts'
import { RESET_MODES } from '../../src/picker/terminal.ts'
import { docker, startContainer, type TestContainer } from '../support/containers.ts'
import { type Gateway, startGateway } from '../support/gateway.ts'
import type { Terminal } from '../support/pty.ts'
import { type Keys, makeKeys, makeSshClient, type SshClient } from '../support/ssh.ts'
import { until } from '../support/wait.ts'

const P = `hw-test-pick-${process.pid}`
const LONG = 120_000
const ESC = '\x1b'

describe('the picker', () => {
  let dir: string
  let keys: Keys
  let gateway: Gateway
  let web: TestContainer
  let db: TestContainer
  const closers: (() => unknown)[] = []

  const start = (name: string, config: string) => {
    const file = join(dir, `${name}.yaml`)
    return writeFile(file, config).then(() => startGateway({ keys, engine: 'docker', args: ['--config', file] }))
  }
  const as = async (user: string, extra: string[] = [], at = gateway): Promise<SshClient> => {
    const client = await makeSshClient(at.target(user), ['LogLevel INFO', ...extra])
    closers.push(() => client.close())
    return client
  }
  const terminal = async (
    user: string,
    options: { extra?: string[]; cols?: number; rows?: number; term?: string } = {},
  ): Promise<Terminal> => {
    const it = (await as(user, options.extra)).terminal(['-t', 't'], options)
    closers.push(() => it.kill())
    return it
  }

  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'hw-test-picker-'))
    keys = await makeKeys()
    gateway = await start(
      'ours',
      `
rules: [{ containers: { names: ['${P}-*', 'hatchway-${P}-*'] }, users: [root, dev] }]
templates: { '${P}': { image: 'hatchway-busybox:latest', user: dev } }
`,
    )
    web = await startContainer('busybox', { name: `${P}-web`, args: ['--user', 'dev'] })
    db = await startContainer('debian', { name: `${P}-data` })
    // Not theirs: never shown.
    const other = await startContainer('busybox', { name: `hw-test-other-${process.pid}` })
    closers.push(() => other.remove())
  }, LONG)
  afterAll(async () => {
    for (const close of closers.reverse()) await close()
    await gateway?.stop()
    await web?.remove()
    await db?.remove()
    await keys?.close()
    await rm(dir, { recursive: true, force: true })
  }, LONG)

  test(
    'asks, narrows as one types, and goes on in what was chosen',
    async () => {
      const it = await terminal('alice', { cols: 80 })
      const screen = await it.expect(`no container "alice"; which one?`).then(() => it.expect('arrows, Enter'))
      expect(screen).toBeDefined()
      expect(it.output()).toMatch(new RegExp(`> ${P}-data +Up .* hatchway-debian`))
      expect(it.output()).toContain(`+${P}`)
      expect(it.output()).not.toContain(`hw-test-other-${process.pid}`)
      it.send('web')
      await it.expect('1 of 4')
      it.send('\r')
      it.send('echo "<$HATCHWAY_IMAGE $(id -un)>"; stty size; exit 6\n')
      await it.expect('<busybox dev>')
      await it.expect('24 80')
      expect(await it.exit()).toBe(6)
    },
    LONG,
  )

  test(
    'arrows move, and what is typed ahead of the answer is the shell’s',
    async () => {
      const it = await terminal('@')
      await it.expect('no container named; which one?')
      await it.expect('arrows, Enter')
      it.send(`${ESC}[B\recho "<$HATCHWAY_IMAGE>"; exit 7\r`)
      await it.expect('<busybox>')
      expect(await it.exit()).toBe(7)
    },
    LONG,
  )

  test(
    'a slip of the finger has the near name first',
    async () => {
      const it = await terminal(`${P}-wbe`)
      await it.expect(`no container "${P}-wbe"; which one?`)
      await it.expect(`> ${P}-web`)
      it.send('\r')
      it.send('exit 8\r')
      expect(await it.exit()).toBe(8)
    },
    LONG,
  )

  test(
    'USER@ keeps the user',
    async () => {
      const it = await terminal('dev@')
      await it.expect('arrows, Enter')
      it.send('data\r')
      it.send('id -un; exit 9\r')
      await it.expect(/^dev\r$/m)
      expect(await it.exit()).toBe(9)
    },
    LONG,
  )

  test(
    'at 40 columns no line is wider, and a new size counts for the list and the shell',
    async () => {
      const it = await terminal('alice', { cols: 40, rows: 20 })
      await it.expect('arrows, Enter')
      const widest = Math.max(
        ...stripVTControlCharacters(it.output().slice(it.output().indexOf('no container')))
          .split(/[\r\n]+/)
          .map((line) => line.length),
      )
      expect(widest).toBeLessThanOrEqual(40)
      expect(it.output()).toMatch(new RegExp(`> ${P}-data +Up`))
      it.resize(100, 30)
      await it.expect(/hatchway-debian/)
      it.send('web\r')
      // Once more when the choice is made and the shell is not there yet.
      it.resize(90, 25)
      it.send('stty size; exit 3\r')
      await it.expect('25 90')
      expect(await it.exit()).toBe(3)
    },
    LONG,
  )

  test(
    'colours are left out for NO_COLOR',
    async () => {
      const coloured = await terminal('alice')
      await coloured.expect('arrows, Enter')
      expect(coloured.output()).toContain(`${ESC}[1;36m> `)
      coloured.send('\x03')
      const plain = await terminal('alice', { extra: ['SetEnv NO_COLOR=1'] })
      await plain.expect('arrows, Enter')
      expect(plain.output()).not.toContain(`${ESC}[1;36m`)
      expect(plain.output()).not.toContain(`${ESC}[2m`)
      plain.send('\x03')
      expect([await coloured.exit(), await plain.exit()]).toEqual([130, 130])
    },
    LONG,
  )

  test.each([
    ['TERM=dumb', { term: 'dumb' }],
    ['HATCHWAY_PICKER=lines', { extra: ['SetEnv HATCHWAY_PICKER=lines'] }],
  ])(
    '%s: numbered lines, a typed answer, not one control sequence',
    async (_name, options) => {
      const it = await terminal('alice', options)
      await it.expect('number or name: ')
      expect(it.output()).toMatch(new RegExp(`^1: ${P}-data, Up [^,]*, hatchway-debian`, 'm'))
      it.send('nonsensx\x7f\r')
      await it.expect('nothing matches nonsens\r\n')
      await it.expect('number or name: ')
      it.send(`${P}\r`)
      await it.expect(`4 match ${P}`)
      await it.expect('number or name: ')
      expect(it.output()).not.toContain(ESC)
      it.send('2\r')
      it.send('echo "<$HATCHWAY_IMAGE>"; exit 4\r')
      await it.expect('<busybox>')
      expect(await it.exit()).toBe(4)
    },
    LONG,
  )

  test.each([
    ['Ctrl-C', '\x03'],
    ['Ctrl-D', '\x04'],
    ['Esc', ESC],
  ])(
    '%s leaves, and nothing was entered',
    async (_name, key) => {
      const it = await terminal('alice')
      await it.expect('arrows, Enter')
      it.send(key)
      expect(await it.exit()).toBe(130)
    },
    LONG,
  )

  test(
    'what does not run and would not be started is shown, and cannot be chosen',
    async () => {
      const stopped = await startContainer('busybox', { name: `${P}-stopped` })
      try {
        await docker('stop', '-t', '0', stopped.id)
        const it = await terminal('alice')
        await it.expect('arrows, Enter')
        it.send('stopped\r')
        await it.expect(`${P}-stopped does not run, and is not started for you`)
        it.send('\x03')
        expect(await it.exit()).toBe(130)
        const lines = await terminal('alice', { term: 'dumb' })
        await lines.expect('number or name: ')
        lines.send(`${P}-stopped\r`)
        await lines.expect('does not run, and is not started for you\r\nnumber or name: ')
        lines.send('\x03')
        await lines.exit()
      } finally {
        await stopped.remove()
      }
    },
    LONG,
  )

  test.each(['search', 'lines'])(
    'again (%s): the picker comes back after a session, in another container, with the size of now; who leaves has the last status',
    async (style) => {
      const again = await start(
        `again-${style}`,
        `rules: [{ containers: { names: ['${P}-*'] }, users: [root, dev] }]\npicker: { style: ${style}, again: true }\n`,
      )
      try {
        const ready = style === 'lines' ? 'number or name: ' : 'arrows, Enter'
        const it = (await as('alice', [], again)).terminal(['-t', 't'], { cols: 80 })
        closers.push(() => it.kill())
        await it.expect(ready)
        it.send('web\r')
        // It leaves the terminal as a program that was killed would.
        it.send('echo "<$HATCHWAY_IMAGE $(id -un)>"; printf "\\033[?1049h\\033[?1003h"; exit 6\r')
        await it.expect('<busybox dev>')
        await it.expect(RESET_MODES)
        await it.expect(`${P}-web: the session ended (6)`)
        await it.expect(ready)
        it.resize(100, 30)
        it.send('data\r')
        it.send('echo "<$HATCHWAY_IMAGE>"; stty size; cat\r')
        await it.expect('<debian>')
        await it.expect('30 100')
        // The end of input inside is not the end of the channel.
        it.send('abc\r\x04')
        it.send('exit 7\r')
        await it.expect(`${P}-data: the session ended (7)`)
        await it.expect(ready)
        it.send('\x03')
        expect(await it.exit()).toBe(7)
      } finally {
        await again.stop()
      }
    },
    LONG,
  )

  test(
    'again: the agent is gone from a container whose session is over, variables are asked for in each',
    async () => {
      const again = await start(
        'again-lent',
        `
rules:
  - { containers: { names: ['${P}-*'] }, users: [root, dev], actions: { shell: true, agent: true, env: false } }
  - { containers: { names: ['${P}-web'] }, users: [root, dev], actions: { env: ['FROM_*'] } }
environment: { accept: ['FROM_*'] }
picker: { style: lines, again: true }
`,
      )
      const socket = join(dir, 'agent.sock')
      const agent = spawn('ssh-agent', ['-D', '-a', socket], { stdio: 'ignore' })
      closers.push(() => agent.kill())
      try {
        const client = await as('alice', ['ForwardAgent yes', 'SetEnv FROM_HERE=yes'], again)
        const it = client.terminal(['-t', 't'], { env: { SSH_AUTH_SOCK: socket } })
        closers.push(() => it.kill())
        const paths: string[] = []
        for (const [name, sent] of [
          ['web', 'yes'],
          ['data', ''],
        ] as const) {
          await it.expect('number or name: ')
          it.send(`${name}\r`)
          it.send(`echo "<${name}$FROM_HERE $SSH_AUTH_SOCK>"; test -S $SSH_AUTH_SOCK; exit $?\r`)
          const [, path = ''] = new RegExp(`<${name}${sent} (/[^>]+)>`).exec(
            await it.expect(new RegExp(`<${name}${sent} /[^>]+>`)),
          ) as RegExpExecArray
          paths.push(path)
          await it.expect(`${P}-${name}: the session ended (0)`)
        }
        await it.expect('number or name: ')
        const there = (name: string, path = '') =>
          docker('exec', `${P}-${name}`, 'ls', path).then(
            () => true,
            () => false,
          )
        await until('they are gone', async () => !(await there('web', paths[0])) && !(await there('data', paths[1])))
        it.send('\x03')
        expect(await it.exit()).toBe(0)
      } finally {
        await again.stop()
      }
    },
    LONG,
  )

  test(
    'again: a template’s fresh container goes with its session, and the next template is another one',
    async () => {
      const [a, b] = [`${P}-a`, `${P}-b`]
      const again = await start(
        'again-fresh',
        `
rules: [{ containers: { names: ['hatchway-${P}-*', '${P}-web'] }, users: [root, dev] }]
templates: { '${a}': { image: 'hatchway-busybox:latest' }, '${b}': { image: 'hatchway-debian:latest' } }
picker: { style: lines, again: true }
`,
      )
      const ours = (name: string) => docker('ps', '-aq', '--filter', `name=hatchway-${name}`).then((ids) => ids.trim())
      try {
        const it = (await as('alice', [], again)).terminal(['-t', 't'])
        closers.push(() => it.kill())
        for (const [choice, image] of [
          [`${P}-web`, 'busybox'],
          [`+${a}`, 'busybox'],
          [`+${b}`, 'debian'],
        ] as const) {
          await it.expect('number or name: ')
          it.send(`${choice}\r`)
          it.send('echo "<$HATCHWAY_IMAGE>"; exit 0\r')
          await it.expect(`<${image}>`, 45_000)
          await it.expect(`${choice}: the session ended (0)`)
        }
        await it.expect('number or name: ')
        await until('both are removed', async () => !(await ours(a)) && !(await ours(b)), 30_000)
        it.send('\x03')
        await it.exit()
      } finally {
        await again.stop()
      }
    },
    LONG,
  )

  test(
    'again: a container that has the login’s word by now is not entered unasked',
    async () => {
      const rules = `rules: [{ containers: { names: ['${P}-*'] }, users: [root, dev] }]`
      const again = await start('again-late', `${rules}\npicker: { style: lines, again: true }\n`)
      try {
        const it = (await as(`${P}-late`, [], again)).terminal(['-t', 't'])
        closers.push(() => it.kill())
        await it.expect('number or name: ')
        it.send(`${P}-web\r`)
        it.send('echo "<$(id -un)>"\r')
        await it.expect('<dev>')
        const late = await startContainer('busybox', { name: `${P}-late` })
        closers.push(() => late.remove())
        it.send('exit 5\r')
        await it.expect(`${P}-web: the session ended (5)`)
        await it.expect('number or name: ')
        it.send('\x03')
        expect(await it.exit()).toBe(5)
        await late.remove()
      } finally {
        await again.stop()
      }
    },
    LONG,
  )

  test(
    'again: a second factor is typed once for two containers',
    async () => {
      const secret = 'JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP'
      const totp = parseTotp(secret)
      if (!totp) throw new Error('no secret')
      const kim = `users: { kim: { authorizedKeys: [${keys.authorized}], totpSecret: ${secret} } }`
      const rules = `rules: [{ containers: { names: ['${P}-*'] }, users: [root, dev] }]`
      const methods = 'authenticationMethods: ["publickey,keyboard-interactive:totp"]'
      const both = await start('both', `${kim}\n${rules}\n${methods}\npicker: { style: lines, again: true }\n`)
      try {
        const it = (
          await as('@', ['BatchMode no', 'PreferredAuthentications publickey,keyboard-interactive'], both)
        ).terminal(['-t', 't'])
        closers.push(() => it.kill())
        await it.expect('Verification code: ')
        it.send(`${codeAt(totp, Math.floor(Date.now() / 30_000))}\r`)
        for (const name of ['web', 'data']) {
          await it.expect('number or name: ')
          it.send(`${name}\r`)
          it.send('exit 0\r')
          await it.expect(`${P}-${name}: the session ended (0)`)
        }
        await it.expect('number or name: ')
        it.send('\x03')
        expect(await it.exit()).toBe(0)
        expect(it.output().split('Verification code: ')).toHaveLength(2)
      } finally {
        await both.stop()
      }
    },
    LONG,
  )

  test(
    'a client that vanishes leaves nothing behind',
    async () => {
      const it = await terminal('alice')
      await it.expect('arrows, Enter')
      it.kill('SIGKILL')
      // It serves on.
      expect((await (await as(`dev@${web.name}`)).exec('echo on')).stdout.toString()).toBe('on\n')
      expect(gateway.log()).not.toContain('fault')
    },
    LONG,
  )

  test(
    'without a terminal it is a list, and exit 2',
    async () => {
      const { code, stdout, stderr } = await (await as('alice')).ssh(['-T', 't'])
      expect(code).toBe(2)
      const rows = stdout.toString().trimEnd().split('\n')
      expect(rows).toHaveLength(4)
      expect(rows[0]).toMatch(new RegExp(`^${P}-data\tUp [^\t]*\thatchway-debian`))
      expect(stderr.toString()).toContain('hatchway: no container "alice"; name one of these')
    },
    LONG,
  )

  test(
    'a command is refused with the sentence as ever',
    async () => {
      const { code, stdout, stderr } = await (await as(`${P}-wbe`)).exec('true')
      expect([code, stdout.toString()]).toEqual([255, ''])
      expect(stderr.toString()).toContain(`no container "${P}-wbe"; did you mean ${P}-web`)
    },
    LONG,
  )

  test(
    'the choice counts for the whole connection, a template’s container too',
    async () => {
      const control = ['ControlMaster auto', `ControlPath ${join(dir, 'ctl')}`, 'ControlPersist 30']
      const client = await as('alice', control)
      const it = client.terminal(['-t', 't'])
      closers.push(() => it.kill())
      await it.expect('arrows, Enter')
      it.send(`+${P}`)
      await it.expect('1 of 4')
      it.send('\r')
      await it.expect('making container')
      it.send('echo "<$(hostname)>"\r')
      const [, host] = /<([0-9a-f]{12})>/.exec(await it.expect(/<[0-9a-f]{12}>/, 45_000)) ?? []
      const again = await client.exec('hostname', { limit: 45_000 })
      expect(again.stdout.toString().trim()).toBe(host)
      it.send('exit\r')
      await it.exit()
      await client.ssh(['-O', 'exit', 't'])
      expect(
        await docker('ps', '-q', '--filter', `name=hatchway-${P}`).then((ids) => ids.split('\n').length),
      ).toBeLessThan(2)
    },
    LONG,
  )

  test(
    'who may enter nothing is refused at the login',
    async () => {
      const nobody = await start('nobody', 'rules: []\n')
      try {
        const { code, stderr } = await (await as('alice', [], nobody)).ssh(['-T', 't'])
        expect(code).toBe(255)
        expect(stderr.toString()).toMatch(/hatchway: no container "alice"[\s\S]*Permission denied/)
      } finally {
        await nobody.stop()
      }
    },
    LONG,
  )
})
