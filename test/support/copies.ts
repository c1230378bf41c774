/** The copy call of an engine that has one. */
import type { Copies, Engine } from '../../src/engine/engine.ts'

export function copiesOf({ copies, endpoint }: Engine): Copies {
  if (!copies) throw new Error(`${endpoint} has no copy call`)
  return copies
}
