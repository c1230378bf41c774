/** The linter's own rules (scripts/lint): where they speak, and where they are silent. */
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { run } from '../support/run.ts'

const ROOT = resolve(import.meta.dirname, '../..')
const BAD = [
  "signal.addEventListener('abort', () => {}, { once: true })",
  "connection?.closed.addEventListener('abort', close)",
  "controller.signal?.addEventListener('abort', close)",
  'const both = AbortSignal.any([one, other])',
  'const late = AbortSignal.timeout(5)',
  'const timer = setInterval(() => {}, 5)',
  'const other = globalThis.setInterval(round, 5).unref()',
]
const GOOD = [
  "target.addEventListener('message', () => {})",
  'const gone = AbortSignal.abort(new Error("gone"))',
  'const once = setTimeout(() => {}, 5)',
]

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hw-test-lint-'))
  const { vcs, $schema, ...config } = JSON.parse(await readFile(join(ROOT, 'biome.json'), 'utf8'))
  await writeFile(join(folder, 'biome.json'), JSON.stringify(config))
  await cp(join(ROOT, 'scripts/lint'), join(folder, 'scripts/lint'), { recursive: true })
})
afterAll(() => rm(folder, { recursive: true, force: true }))

/** The numbers of the lines that a plugin complains of. */
async function complaints(file: string, lines: readonly string[]): Promise<number[]> {
  const path = join(folder, file)
  await mkdir(join(path, '..'), { recursive: true })
  await writeFile(path, `${lines.join('\n')}\n`)
  const biome = join(ROOT, 'node_modules/.bin/biome')
  const { stdout, stderr } = await run(biome, ['lint', '--max-diagnostics=none', '--colors=off', file], { cwd: folder })
  const text = `${stdout}${stderr}`
  return [...text.matchAll(/^\S+:(\d+):\d+ plugin/gm)].map(([, line]) => Number(line)).sort((a, b) => a - b)
}

test('what waits without the lifetime kit is an error of the linter', async () => {
  expect(await complaints('src/bad.ts', BAD)).toEqual(BAD.map((_, index) => index + 1))
  expect(await complaints('src/good.ts', GOOD)).toEqual([])
})

test('the kit itself and the tests may', async () => {
  expect(await complaints('src/lifetime/kit.ts', BAD)).toEqual([])
  expect(await complaints('test/some.test.ts', BAD)).toEqual([])
})

test('a reason silences it', async () => {
  const reason = '// biome-ignore lint/plugin: a plain tick, which never waits'
  expect(await complaints('src/ticks.ts', [reason, 'const timer = setInterval(() => {}, 5)'])).toEqual([])
})
