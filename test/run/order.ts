/**
 * Long files begin first, and the roads of the parity suite not all at once: each of them has several clients of its own.
 * vitest's order is by size where it remembers no times, and would leave them all to the end: what runs a suite of another
 * file's is small, and nothing would be left to run beside the last of them.
 */
import { BaseSequencer, type TestSpecification } from 'vitest/node'

/** Files of the project `engine` that take minutes, and how many others of it begin before them. */
const LONG: readonly (readonly [file: string, before: number])[] = [
  ['test/e2e/parity-plain.test.ts', 0],
  ['test/engine/podman-cli.test.ts', 0],
  ['test/packaging/service.test.ts', 0],
  ['test/e2e/two-gateways.test.ts', 4],
  ['test/e2e/forward.test.ts', 8],
  ['test/e2e/parity-cli.test.ts', 12],
  ['test/engine/podman-api.test.ts', 16],
  ['test/cli/restart.test.ts', 18],
  ['test/engine/cli.test.ts', 24],
  ['test/e2e/refusals.test.ts', 27],
  ['test/e2e/parity-docker.test.ts', 30],
  ['test/engine/docker.test.ts', 34],
  ['test/e2e/authorized-keys.test.ts', 36],
  ['test/e2e/methods.test.ts', 38],
  ['test/e2e/parity-sshd.test.ts', 45],
]

export class LongFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files)
    const isLong = ({ moduleId }: TestSpecification) => LONG.some(([file]) => moduleId.endsWith(file))
    // Both projects come in one list, the other one's hundred files first: those do not count.
    const isEngine = ({ project }: TestSpecification) => project.name === 'engine'
    const order = sorted.filter((file) => isEngine(file) && !isLong(file))
    for (const [file, before] of LONG) {
      const found = sorted.find(({ moduleId }) => moduleId.endsWith(file))
      if (found) order.splice(before, 0, found)
    }
    return [...sorted.filter((file) => !isEngine(file)), ...order]
  }
}
