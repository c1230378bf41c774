/** What a person types in the first minutes, and what the program says of it. No engine is needed for any of it. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { plural } from '../../src/base/plural.ts'
import { hatchway, MAIN } from '../support/program.ts'
import { openTerminal } from '../support/pty.ts'
import { run } from '../support/run.ts'
import { until } from '../support/wait.ts'

vi.setConfig({ testTimeout: 120_000 })

let home: string
beforeAll(() => {
  home = mkdtempSync(join(tmpdir(), 'hw-test-small-'))
})
afterAll(() => rmSync(home, { recursive: true }))

const VERSION: string = JSON.parse(readFileSync('package.json', 'utf8')).version
const away = { DOCKER_HOST: 'unix:///nonexistent.sock' }

describe('without a command', () => {
  it('hatchway shows the commands and how to begin, and exits 0', async () => {
    const { code, out, err } = await hatchway([])
    expect([code, err]).toEqual([0, ''])
    expect(out).toMatch(/^Usage: hatchway[\s\S]*serve[\s\S]*\nTo begin: `hatchway doctor`/)
  })

  it('advice has the name that the script of a checkout was called by', async () => {
    const env = { HATCHWAY_PROGRAM: './hatchway', HOME: home, XDG_RUNTIME_DIR: '' }
    const [help, check] = await Promise.all([hatchway([], env), hatchway(['config', 'check'], env)])
    expect(help.out).toContain('To begin: `./hatchway doctor`')
    expect(check.out).not.toContain('HATCHWAY_PROGRAM')
  })

  it('version is --version', async () => {
    const [word, flag] = await Promise.all([hatchway(['version']), hatchway(['--version'])])
    expect([word, flag]).toEqual(Array(2).fill({ code: 0, out: `${VERSION}\n`, err: '' }))
  })

  it.each(['--help', '-h'])('demo %s says what it would do, and does nothing', async (flag) => {
    const { code, stdout } = await run(resolve('hatchway'), ['demo', flag])
    expect([code, stdout.toString()]).toEqual([0, expect.stringContaining('usage: ./hatchway demo [--stay | --stop]')])
  })
})

it.each([
  [['policy', 'explain'], 'policy explain [options] <who> [user@container] [action...]'],
  [['completion'], 'completion [options] <shell>'],
  [['totp-secret'], 'totp-secret [options] <name>'],
  [['sessions', '--nothing'], 'sessions [options]'],
])('%j says how that command is used, not which commands there are', async (words, usage) => {
  const { code, err } = await hatchway(words)
  expect(code).toBe(1)
  const command = words.filter((word) => !word.startsWith('-')).join(' ')
  expect(err).toMatch(/^error: /)
  expect(err.slice(err.indexOf('\n') + 1)).toBe(`usage: hatchway ${usage}\n(hatchway ${command} --help shows more)\n`)
})

describe('an address that is taken', () => {
  it('serve says what to do', async () => {
    const taken = createServer().listen(0, '127.0.0.1')
    await once(taken, 'listening')
    const address = taken.address()
    const port = typeof address === 'object' ? address?.port : 0
    const args = ['serve', '--listen', `127.0.0.1:${port}`, '--keys', join(home, 'keys'), '--engine', 'docker']
    const { code, err } = await hatchway(args, { HOME: home, ...away })
    taken.close()
    expect(code).toBe(2)
    expect(err).toMatch(new RegExp(`cannot listen: .*EADDRINUSE.*ss -ltnp 'sport = :${port}'.*--listen`))
  })
})

describe('a terminal that is closed', () => {
  it('ends the gateway in it', async () => {
    const args = ['serve', '--listen', '127.0.0.1:0', '--keys', join(home, 'keys'), '--engine', 'docker']
    const terminal = openTerminal(process.execPath, [MAIN, ...args], {
      env: { HOME: home, HATCHWAY_CONFIG: '/dev/null', ...away },
    })
    await terminal.expect('listening', 60_000)
    // A shell and the kernel may both say it.
    terminal.kill('SIGHUP')
    terminal.kill('SIGHUP')
    await terminal.expect('stopped', 60_000)
    expect(await terminal.exit(60_000)).toBe(129)
  })
})

describe('reload', () => {
  it('says which gateway, and counts in English', async () => {
    const socket = join(home, 'control.sock')
    const args = ['serve', '--listen', '127.0.0.1:0', '--keys', join(home, 'keys'), '--control-socket', socket]
    const env = { ...process.env, HOME: home, HATCHWAY_CONFIG: '/dev/null', ...away }
    const gateway = spawn(process.execPath, [MAIN, ...args, '--engine', 'docker'], { env, stdio: 'ignore' })
    const ended = once(gateway, 'exit')
    try {
      const said = await until(
        'it answers',
        async () => {
          const answer = await hatchway(['reload', '--control-socket', socket], { HOME: home })
          return answer.code === 0 && answer.out
        },
        60_000,
      )
      expect(said).toMatch(new RegExp(`^gateway ${gateway.pid} \\(127.0.0.1:\\d+\\): reloaded, 1 key may log in\\n$`))
    } finally {
      gateway.kill('SIGTERM')
      await ended
    }
  })
})

it.each([
  [0, '0 keys'],
  [1, '1 key'],
  [2, '2 keys'],
])('%i: %s', (count, words) => expect(plural(count, 'key')).toBe(words))
