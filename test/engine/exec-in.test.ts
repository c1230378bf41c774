/** What an engine's exec cannot carry, made up for by a shell: run for real, by an engine whose containers are this machine. */
import { expect, test } from 'vitest'
import type { ExecCarries } from '../../src/engine/engine.ts'
import { localEngine } from '../support/local-engine.ts'
import { runIn } from './run.ts'

const NOTHING = { user: 'none', cwd: false, env: false } as const
const ENV = ['PATH=/usr/bin:/bin', 'ODD=a b\n"$HOME"', 'EMPTY=']

function ran(carries: ExecCarries | undefined, request: Parameters<typeof runIn>[3] = {}) {
  const engine = localEngine(carries)
  const argv = ['/bin/sh', '-c', `pwd; printf "%s|" "$ODD" "\${EMPTY-unset}" "$@"`, 'sh', '-c', '$(x)'] as const
  return runIn(engine, 'here', [...argv], { cwd: '/tmp', env: ENV, user: '', ...request })
}

test('variables, directory and arguments arrive as if the engine had carried them', async () => {
  const carried = await ran(undefined)
  expect(carried.text).toBe('/tmp\na b\n"$HOME"||-c|$(x)|')
  for (const carries of [NOTHING, { ...NOTHING, cwd: true }, { ...NOTHING, env: true }]) {
    expect((await ran(carries)).text).toBe(carried.text)
  }
})

test('a name that no shell can set is left out, and the rest is set', async () => {
  expect((await ran(NOTHING, { env: [...ENV, 'a.b=1', '=x', 'ALONE'] })).text).toBe((await ran(undefined)).text)
})

test('a program without variables is started as it is, so that an image needs no shell', async () => {
  const engine = localEngine(NOTHING)
  await runIn(engine, 'here', ['/bin/true', 'serve'], { cwd: '/', user: '' })
  expect(engine.asked).toEqual([{ argv: ['/bin/true', 'serve'], cwd: '', env: [], user: '' }])
})

test('a directory that is not there is an exit code with a line, as an engine has it', async () => {
  const { status, err } = await ran(NOTHING, { cwd: '/no/such' })
  expect(status).toMatchObject({ code: 126 })
  expect(err.toString()).toContain('/no/such')
})

test('another user than the container’s own is refused where the engine takes none, and nothing is run', async () => {
  const engine = localEngine(NOTHING)
  const { error } = await runIn(engine, 'here', ['/bin/true'], { user: 'dev' })
  expect([error?.code, error?.message]).toEqual([
    'NOT_SUPPORTED',
    'the engine of this container starts programs as the container’s own user only: name no other',
  ])
  expect(engine.asked).toEqual([])
})

test('a variable cannot take the loop’s place, and one that is readonly in bash does not end it', async () => {
  const env = [...ENV, 'hw_n=1', 'X=/bin/false', 'UID=5', 'EUID=5', 'PPID=5', 'SHELLOPTS=x', 'BASHOPTS=x']
  expect((await ran(NOTHING, { env })).text).toBe((await ran(undefined)).text)
})
