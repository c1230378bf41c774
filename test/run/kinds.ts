/**
 * Which tests need a container engine: those that import, directly or not, what starts containers or engines; and which are
 * only for `./hatchway test --engines`.
 */
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

/**
 * Engines that a machine for development need not have: scripts/engines.sh prepares it for them. A test is of this kind by its
 * own line here, or by that of a file that it imports.
 */
const ENGINES = [
  'support/containerd.ts',
  'support/kubernetes.ts',
  'e2e/parity-containerd.test.ts',
  'e2e/parity-containerd-plain.test.ts',
  'e2e/two-gateways-podman.test.ts',
  // No engine more, but a browser and a server that take both processors: where others want them too, a page that loads for
  // longer than a minute has lost its terminal, it seems by VS Code's own limit.
  'e2e/vscode.test.ts',
  'engine/docker-ssh.test.ts',
  'support/systemd.ts',
  'support/podman-rootless.ts',
  'support/podman5.ts',
  'support/swarm.ts',
].map((file) => join(top, 'test', file))

export interface Kinds {
  /** Paths from the project's folder, as vitest's `include` takes them. */
  readonly fast: readonly string[]
  readonly engine: readonly string[]
  /** Of `./hatchway test --engines`, and of no other run. */
  readonly engines: readonly string[]
}

export function testFiles(): Kinds {
  const closures = new Map<string, ReadonlySet<string>>()
  const tests = readdirSync(join(top, 'test'), { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.test.ts'))
    .map((file) => join(top, 'test', file))
    .sort()
  for (const file of tests) closures.set(file, closure(file, new Set()))
  const isOneOf = (kind: readonly string[]) => (file: string) => kind.some((one) => closures.get(file)?.has(one))
  const ofEngines = tests.filter(isOneOf(ENGINES))
  const others = tests.filter((file) => !ofEngines.includes(file))
  const needsEngine = isOneOf(ENGINE)
  const named = (files: readonly string[]) => files.map((file) => relative(top, file))
  return {
    fast: named(others.filter((file) => !needsEngine(file))),
    engine: named(others.filter(needsEngine)),
    engines: named(ofEngines),
  }
}

function closure(file: string, seen: Set<string>): Set<string> {
  if (seen.has(file) || !file.startsWith(join(top, 'test'))) return seen
  seen.add(file)
  const imports = readFileSync(file, 'utf8').matchAll(/(?:from|import\() ?'(\.[^']+\.ts)'/g)
  for (const [, specifier = ''] of imports) closure(normalize(join(dirname(file), specifier)), seen)
  return seen
}
