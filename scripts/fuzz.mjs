/**
 * npm run fuzz [TIMES]: all made-up inputs of the tests that have some, TIMES as many (1), and what of the code they reached.
 * They are the same in every run, so a failure says which input it was. Needs no engine.
 */
import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const top = fileURLToPath(new URL('..', import.meta.url))
const times = Number(process.argv[2] ?? 1)
if (!(times > 0)) {
  console.error('usage: npm run fuzz [TIMES]')
  process.exit(2)
}

const files = readdirSync(join(top, 'test'), { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.test.ts'))
  .map((file) => join('test', file))
  .filter((file) => readFileSync(join(top, file), 'utf8').includes('/support/fuzz.ts'))
const { status } = spawnSync(
  'node_modules/.bin/vitest',
  ['run', '--project', 'fast', '--coverage.enabled', '--coverage.provider=v8', ...files],
  { cwd: top, stdio: 'inherit', env: { ...process.env, HATCHWAY_TEST_FUZZ: String(times) } },
)
process.exitCode = status ?? 1
