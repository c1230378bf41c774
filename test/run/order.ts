/**
 * Long files begin first, and the roads of the parity suite not all at once: each of them has several clients of its own, and
 * vitest's order, by size where it remembers no times, would leave them all to the end.
 */
import { BaseSequencer, type TestSpecification } from 'vitest/node'

/** Files that take minutes, and how many others begin before them. */
const LONG: readonly (readonly [file: string, before: number])[] = [
  ['test/e2e/parity-plain.test.ts', 0],
  ['test/engine/podman-cli.test.ts', 0],
  ['test/e2e/parity-cli.test.ts', 12],
  ['test/engine/podman-api.test.ts', 16],
  ['test/e2e/parity-docker.test.ts', 30],
  ['test/e2e/parity-sshd.test.ts', 45],
]

export class LongFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const isLong = ({ moduleId }: TestSpecification) => LONG.find(([file]) => moduleId.endsWith(file))
    const order = (await super.sort(files)).filter((file) => !isLong(file))
    for (const [file, before] of LONG) {
      const found = files.find(({ moduleId }) => moduleId.endsWith(file))
      if (found) order.splice(before, 0, found)
    }
    return order
  }
}
