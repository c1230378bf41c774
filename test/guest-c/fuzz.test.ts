import { execFile, execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { FUZZ_LIMIT_MS, inputs } from '../support/fuzz.ts'
import { builds } from './binary.ts'

const guest = fileURLToPath(new URL('../../guest/', import.meta.url))
const FRAMES = String(inputs(1_000_000))

/** Where the helper builds under the sanitizers, this has to, too: that it did not was once taken for their absence. */
const skip = builds.find(({ name }) => name.startsWith('asan'))?.skip
if (skip === undefined) execFileSync('make', ['-s', '-C', guest, 'fuzz'])

test.skipIf(skip !== undefined)(
  `frames, random and mutated, under ASan and UBSan${skip ? ` (skipped: ${skip})` : ''}`,
  { timeout: FUZZ_LIMIT_MS },
  async () => {
    const seed = String(Math.floor(Math.random() * 2 ** 31))
    const env = { ...process.env, ASAN_OPTIONS: 'detect_leaks=0' }
    const run = promisify(execFile)(`${guest}build/fuzz`, [FRAMES, seed], { env })
    const { stdout } = await run.catch((error: { stderr?: string }) => {
      throw new Error(`seed ${seed}: ${error.stderr}`)
    })
    const [refused, spawned, closed] = (stdout.match(/\d+/g) ?? []).map(Number)
    // It was at work on both sides of the line: frames that parse, and frames that do not.
    expect(refused).toBeGreaterThan(Number(FRAMES) / 10)
    expect(spawned).toBeGreaterThan(Number(FRAMES) / 1000)
    expect(closed).toBeGreaterThan(Number(FRAMES) / 1000)
  },
)
