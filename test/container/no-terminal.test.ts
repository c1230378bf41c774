/** A container that has no pty to give: the session goes on without one, on every road. */
import { execa } from 'execa'
import { afterEach, describe, expect, it, test } from 'vitest'
import { lineDiscipline } from '../../src/container/no-terminal.ts'
import { createPlainRoad } from '../../src/container/plain.ts'
import { sessionProgram } from '../../src/container/program.ts'
import { runProgram } from '../../src/container/run.ts'
import type { Exec } from '../../src/engine/engine.ts'
import { Sink } from '../guest/fake-helper.ts'
import { DEV, LIMIT, openWorld, TTY, type World } from '../guest/world.ts'
import { docker, startContainer, type TestContainer } from '../support/containers.ts'
import { fakeExec } from '../support/fake-exec.ts'
import { until } from '../support/wait.ts'

const INFO = {
  ...{ name: 'dev', uid: 1000, gid: 1000, engineUser: '1000:1000', entry: true, known: true },
  ...{ home: '/home/dev', shell: '/bin/sh' },
}
const noNamespaces = process.getuid?.() === 0 ? undefined : 'entering a container’s namespaces needs root'

describe.skipIf(noNamespaces).each([
  ['the helper', 'docker'],
  ['the plain road', 'docker'],
  ['the plain road', 'cli'],
] as const)('by %s (%s)', (road, kind) => {
  let world: World
  let container: TestContainer
  afterEach(async () => {
    await world?.close()
    await container?.remove()
  })

  async function session(without: string): Promise<{ exec: Exec; sink: Sink }> {
    world = await openWorld({ mode: road === 'the helper' ? 'require' : 'off' }, kind)
    container = await startContainer('debian')
    const pid = await docker('inspect', '-f', '{{.State.Pid}}', container.id)
    await docker('exec', '-dt', container.id, 'sleep', '300')
    await execa('nsenter', ['-t', pid, '-m', '-p', '--', ...without.split(' ')])
    const inspected = await world.inspect(container)
    const guest = road === 'the helper' ? await world.guest(container, DEV) : undefined
    const place = { road: createPlainRoad(world.engine), container: inspected, user: INFO, guest, killTree: false }
    const sink = new Sink()
    const program = sessionProgram({ kind: 'shell' }, INFO, ['HOME=/home/dev', 'TERM=xterm'])
    return { exec: await runProgram({ place, program, tty: TTY, sink, signal: LIMIT() }), sink }
  }

  it.each([
    ['/dev/pts is not there', 'umount -l /dev/pts'],
    ['no pty is left', 'mount -o remount,max=1 /dev/pts'],
  ])('where %s', async (_what, command) => {
    const { exec, sink } = await session(command)
    exec.stdin.write('test -t 0 || echo no terminal, TE\x7fTERM=$TERM, SSH_TTY=$SSH_TTY\r')
    await until('an answer', () => sink.text.includes('\r\nno terminal, TTERM=, SSH_TTY=\r\n'))
    exec.stdin.write('exit 4\r')
    expect(await exec.exit).toEqual({ code: 4 })
    expect(sink.errorText).toContain(
      `hatchway: container ${container.name} has no terminal to give: the session goes on without one\r\n`,
    )
  })
})

test('a line is echoed, may be erased, and is sent whole', async () => {
  const sink = new Sink()
  const { exec, input, signals } = fakeExec()
  const joined = lineDiscipline(sink).join(exec)
  const type = (keys: string) => new Promise((done) => joined.stdin.write(keys, done))
  await type('l')
  await type('sé€\x7f\x7f\x7f\x08x')
  expect(input()).toBe('')
  await type('\x15ab\tc\rd')
  expect(input()).toBe('ab\tc\n')
  await type('e\x03f\x1b\x04')
  expect([input(), signals]).toEqual(['ab\tc\nf\x1b', ['INT']])
  expect(sink.text).toBe('lsé€\b \b\b \b\b \b\b \bx\b \bab\tc\r\nde^C\r\nf^[')
  await type('\x04never')
  expect(exec.stdin.writableEnded).toBe(true)
  expect(input()).toBe('ab\tc\nf\x1b')
})

test('output gets its carriage returns, once, and every other byte stays what it is', () => {
  const sink = new Sink()
  const { sink: out } = lineDiscipline(sink)
  out.write(1, Buffer.from('a\nb\r\nc\xff', 'latin1'))
  expect(Buffer.concat(sink.out).toString('latin1')).toBe('a\r\nb\r\nc\xff')
})

test('a client that does not read its echo is not read on', async () => {
  const sink = new Sink()
  const joined = lineDiscipline(sink).join(fakeExec().exec)
  sink.open = false
  joined.stdin.write('a')
  joined.stdin.write('b')
  expect(sink.text).toBe('a')
  joined.resume()
  await until('the rest', () => sink.text === 'ab')
})

test('a client that reads its echo before the program has taken the line is read on', async () => {
  const sink = new Sink()
  const { exec, input } = fakeExec()
  exec.stdin.cork()
  const joined = lineDiscipline(sink).join(exec)
  sink.open = false
  joined.stdin.write('a\r')
  joined.stdin.write('b\r')
  sink.open = true
  joined.resume()
  exec.stdin.uncork()
  await until('the rest', () => input() === 'a\nb\n')
})
