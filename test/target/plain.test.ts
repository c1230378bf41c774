/** The plain road in real containers: what an exec alone can give, and how its processes end. */
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openEngine } from '../../src/engine/choose.ts'
import type { Engine, ExitStatus, WindowSize } from '../../src/engine/engine.ts'
import { createPlainRoad } from '../../src/target/plain.ts'
import { sessionProgram } from '../../src/target/program.ts'
import { docker, startContainer, type TestContainer } from '../support/containers.ts'

const signal = AbortSignal.timeout(300_000)

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

  async function start(command: string | undefined, options: { tty?: WindowSize; shell?: string; home?: string } = {}) {
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
    const program = sessionProgram(request, info, [`HOME=${info.home}`])
    const exec = await createPlainRoad(engine).run(inspected, info, program, options.tty, sink, signal)
    return { exec, output }
  }

  async function run(command: string, options = {}): Promise<{ status: ExitStatus; stdout: string; stderr: string }> {
    const { exec, output } = await start(command, options)
    exec.stdin.end()
    const status = await exec.exit
    return { status, ...output }
  }

  const alive = async (mark: string) =>
    (await docker('top', container.id, '-eo', 'pid,args')).split('\n').filter((line) => line.includes(mark)).length

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
      sleep 0.3; echo ready; sleep 90`
      const { exec, output } = await start(command, tty ? { tty } : {})
      while (!output.stdout.includes('ready')) await sleep(20)
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
