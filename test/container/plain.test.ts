/** The plain road in real containers: what an exec alone can give, and how its processes end. */

import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { ExitStatus, WindowSize } from '../../src/base/program.ts'
import { textOf } from '../../src/bytes/byte-text.ts'
import { createPlainRoad } from '../../src/container/plain.ts'
import { sessionProgram } from '../../src/container/program.ts'
import { openEngine } from '../../src/engine/choose.ts'
import type { Engine } from '../../src/engine/engine.ts'
import { docker, startContainer, type TestContainer } from '../support/containers.ts'
import { until } from '../support/wait.ts'

const signal = AbortSignal.timeout(300_000)

interface Options {
  readonly tty?: WindowSize
  readonly shell?: string
  readonly home?: string
  readonly env?: readonly string[]
}

describe.each([
  ['debian', []],
  ['busybox', []],
  ['debian', ['--pid=host']],
] as const)('%s %o', (image, args) => {
  let engine: Engine
  let container: TestContainer

  beforeAll(async () => {
    engine = await openEngine({ kind: 'docker' }, signal)
    container = await startContainer(image, { args: [...args] })
  })
  afterAll(async () => {
    await container.remove()
    await engine.close()
  })

  async function start(command: string | Buffer | undefined, options: Options = {}) {
    const info = {
      name: 'dev',
      uid: 1000,
      gid: 1000,
      home: options.home ?? '/home/dev',
      shell: options.shell ?? '/bin/sh',
      engineUser: 'dev',
      entry: true,
      known: true,
    }
    const request =
      command === undefined ? ({ kind: 'shell' } as const) : ({ kind: 'exec', command: Buffer.from(command) } as const)
    const output = { stdout: '', stderr: '' }
    const sink = {
      write(fd: 1 | 2, chunk: Buffer) {
        output[fd === 1 ? 'stdout' : 'stderr'] += chunk.toString()
        return true
      },
    }
    const inspected = await engine.inspect(container.id, signal)
    const program = sessionProgram(request, info, [`HOME=${info.home}`, ...(options.env ?? [])])
    const exec = await createPlainRoad(engine).run(inspected, info, program, options.tty, sink, signal)
    return { exec, output }
  }

  async function run(
    command: string | Buffer,
    options: Options = {},
  ): Promise<{ status: ExitStatus; stdout: string; stderr: string }> {
    const { exec, output } = await start(command, options)
    exec.stdin.end()
    const status = await exec.exit
    return { status, ...output }
  }

  const processes = async () => (await docker('top', container.id, '-eo', 'pid,args')).split('\n')
  const alive = async (mark: string) => (await processes()).filter((line) => line.includes(mark)).length

  test('a command starts in the home, its exit code comes back, its streams stay apart', async () => {
    const { status, stdout, stderr } = await run('pwd; echo err >&2; exit 7')
    expect({ status, stdout, stderr }).toEqual({ status: { code: 7 }, stdout: '/home/dev\n', stderr: 'err\n' })
  })

  test('a home that is missing is told as sshd tells it, and the command runs in /', async () => {
    const { stdout, stderr } = await run('pwd', { home: '/nowhere' })
    expect(stdout).toBe('/\n')
    expect(stderr).toMatch(/^Could not chdir to home directory \/nowhere/)
  })

  test('a shell that is missing falls back to one that is there', async () => {
    const { status, stdout } = await run('echo ok', { shell: '/opt/none' })
    expect({ status, stdout }).toEqual({ status: { code: 0 }, stdout: 'ok\n' })
  })

  test('the command’s text is one argument: nothing in it is split or expanded on the way', async () => {
    const { stdout } = await run(`printf '%s|' "a  b" '$HOME' '\`id\`' '*' 'é漢' "-- '"`)
    expect(stdout).toBe("a  b|$HOME|`id`|*|é漢|-- '|")
  })

  test('bytes that are no text arrive as they are: in variables, the command and the home', async () => {
    const bytes = Buffer.from([0x27, 0xe9, 0x5c, 0x0a, 0xff, 0x24, 0x0a])
    const before = await run(Buffer.from('mkdir -p "/tmp/h\xe9"; od -An -tx1 <<\'.\'\n\xfe\n.', 'latin1'))
    expect(before.stdout.trim()).toBe('fe 0a')
    const { stdout, stderr } = await run('printf %s "$LC_X" | od -An -tx1; pwd | od -An -tx1; echo "$LC_Y"', {
      home: textOf(Buffer.from('/tmp/h\xe9', 'latin1')),
      env: [`LC_X=${textOf(bytes)}`, 'LC_Y=é'],
    })
    expect({ stdout, stderr }).toEqual({ stdout: ' 27 e9 5c 0a ff 24 0a\n 2f 74 6d 70 2f 68 e9 0a\né\n', stderr: '' })
  })

  test('a NUL in the command is refused, also where bytes that are no text are beside it', async () => {
    for (const env of [[], [`LC_X=${textOf(Buffer.from([0xff]))}`]]) {
      const refused = { code: 'COMMAND_NOT_EXECUTABLE', message: '/bin/sh: EINVAL' }
      await expect(start('echo a\0b', { env })).rejects.toMatchObject(refused)
    }
  })

  test('the session’s variables are its own, whatever they are called', async () => {
    const names = ['u', 'g', 'k', 'i', 'r', 't', 's', 'how', 'c', 'n', 'v']
    const { stdout } = await run(names.map((name) => `echo "$${name}"`).join(';'), {
      env: names.map((name) => `${name}=mine`),
    })
    expect(stdout).toBe('mine\n'.repeat(names.length))
  })

  test('what the engine sets for a terminal can be unset', async () => {
    const tty = { cols: 80, rows: 24 }
    expect((await run('env | grep -c ^TERM=', { tty })).stdout).toBe('1\r\n')
    expect((await run('env | grep -c ^TERM=', { tty, env: ['TERM'] })).stdout).toBe('0\r\n')
  })

  test('a terminal has its size from the first byte, and SSH_TTY', async () => {
    const { exec, output } = await start('stty size; [ "$(tty)" = "$SSH_TTY" ] && echo same', {
      tty: { cols: 123, rows: 37 },
    })
    await exec.exit
    expect(output.stdout).toBe('37 123\r\nsame\r\n')
  })

  test('a signal reaches the session’s process group', async () => {
    const { exec, output } = await start('trap "echo usr1; exit 3" USR1; echo ready; while :; do sleep 0.1; done')
    while (!output.stdout.includes('ready')) await sleep(20)
    expect(exec.signal('USR1')).toBe(true)
    expect(await exec.exit).toEqual({ code: 3 })
    expect(output.stdout).toContain('usr1')
  })

  test.each([undefined, { cols: 80, rows: 24 }])(
    'close() ends what the session left, but not what was detached on purpose (tty: %o)',
    async (tty) => {
      const mark = `hw${Math.random().toString(36).slice(2, 10)}`
      const command = `
      (trap '' HUP; exec sh -c 'sleep 90; :' ${mark}-nohup) >/dev/null 2>&1 </dev/null &
      setsid sh -c 'sleep 90; :' ${mark}-setsid >/dev/null 2>&1 </dev/null &
      sh -c 'sleep 90; :' ${mark}-job >/dev/null 2>&1 </dev/null &
      sh -c 'sleep 90; :' ${mark}-holder >/dev/null &
      sh -c 'trap : HUP; while :; do sleep 1; done' ${mark}-stubborn >/dev/null </dev/null &
      sleep 90`
      const { exec } = await start(command, tty ? { tty } : {})
      await until('each is what it is to be', async () => {
        const rows = await processes()
        const isThere = (name: string) =>
          rows.some((row) => /^\s*\d+\s+sh /.test(row) && row.trimEnd().endsWith(`${mark}-${name}`))
        return ['nohup', 'setsid', 'job', 'holder', 'stubborn'].every(isThere)
      })
      exec.close()
      await exec.exit.catch(() => undefined)
      const deadline = Date.now() + 20_000
      while (Date.now() < deadline && (await alive(`${mark}-holder`)) + (await alive(`${mark}-stubborn`)) > 0)
        await sleep(100)
      expect(await alive(`${mark}-holder`)).toBe(0)
      // What let go of all three was detached on purpose, as sshd sees it; on a terminal that hangs up it is not.
      expect(await alive(`${mark}-job`)).toBe(tty ? 0 : 1)
      expect(await alive(`${mark}-stubborn`)).toBe(0)
      expect(await alive(`${mark}-nohup`)).toBe(1)
      expect(await alive(`${mark}-setsid`)).toBe(1)
    },
  )
})
