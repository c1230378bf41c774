/** Which tests need a container engine: those that import, directly or not, what starts containers or engines. */
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize, relative } from 'node:path'

const top = join(import.meta.dirname, '../..')
const ENGINE = [
  'support/containers.ts',
  'support/dockerd.ts',
  'support/gateway.ts',
  'parity/suite.ts',
  'support/podman.ts',
  'support/hanging-engine.ts',
  'guest/world.ts',
].map((file) => join(top, 'test', file))

export interface Kinds {
  /** Paths from the project's folder, as vitest's `include` takes them. */
  readonly fast: readonly string[]
  readonly engine: readonly string[]
}

export function testFiles(): Kinds {
  const closures = new Map<string, ReadonlySet<string>>()
  const tests = readdirSync(join(top, 'test'), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.test.ts'))
    .map((file) => join(top, 'test', file))
    .sort()
  for (const file of tests) closures.set(file, closure(file, new Set()))
  const needsEngine = (file: string) => ENGINE.some((one) => closures.get(file)?.has(one))
  const named = (files: readonly string[]) => files.map((file) => relative(top, file))
  return {
    fast: named(tests.filter((file) => !needsEngine(file))),
    engine: named(tests.filter(needsEngine)),
  }
}

function closure(file: string, seen: Set<string>): Set<string> {
  if (seen.has(file) || !file.startsWith(join(top, 'test'))) return seen
  seen.add(file)
  const imports = readFileSync(file, 'utf8').matchAll(/(?:from|import\() ?'(\.[^']+\.ts)'/g)
  for (const [, specifier = ''] of imports) closure(normalize(join(dirname(file), specifier)), seen)
  return seen
}
