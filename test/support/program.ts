/** The built program as a person runs it, for tests that need no engine. */
import { resolve } from 'node:path'
import { type RunOptions, run } from './run.ts'

export const MAIN = resolve(import.meta.dirname, '../../dist/main.js')

/** A busy machine takes its time to start node. */
const START_MS = 60_000

export async function hatchway(args: readonly string[], env: Record<string, string> = {}, options: RunOptions = {}) {
  const { code, stdout, stderr } = await run(process.execPath, [MAIN, ...args], {
    limit: START_MS,
    ...options,
    env: { HATCHWAY_CONFIG: '/dev/null', ...env },
  })
  return { code, out: stdout.toString(), err: stderr.toString() }
}
