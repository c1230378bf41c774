import { execFile, execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'

const guest = fileURLToPath(new URL('../../guest/', import.meta.url))
const FRAMES = process.env.HATCHWAY_FUZZ_FRAMES ?? '1000000'

function build(): string | undefined {
  try {
    execFileSync('make', ['-s', '-C', guest, 'fuzz'], { stdio: 'pipe' })
    return undefined
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}
const skip = build()

test.skipIf(skip !== undefined)(
  `${FRAMES} frames, random and mutated, under ASan and UBSan${skip ? ` (skipped: ${skip})` : ''}`,
  { timeout: 300_000 },
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
