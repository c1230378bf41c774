/** What an engine promises whose users can leave each other marks. */
import { expect } from 'vitest'
import type { Engine } from '../../src/engine/engine.ts'
import { testName } from '../support/containers.ts'
import type { Promised } from './contract-bench.ts'

const soon = () => AbortSignal.timeout(30_000)
const markName = () => `hatchway-${testName('mark')}`.toLowerCase()

export function markTests(promised: Promised): void {
  promised('keeps marks, each put once or twice, until they are dropped', async ({ engine, ground }) => {
    const { put, list, drop } = marks(engine)
    const [one, other] = [markName(), markName()]
    const ours = async () => (await list(soon())).filter((mark) => mark === one || mark === other).sort()
    try {
      await Promise.all([put(one, soon()), put(other, soon())])
      await put(one, soon())
      expect(await ours()).toEqual([one, other].sort())
      await drop(one, soon())
      await drop(one, soon())
      expect(await ours()).toEqual([other])
      // By somebody else, as `docker volume prune` does.
      await ground.control('volume', 'rm', other)
      expect(await ours()).toEqual([])
      await drop(other, soon())
    } finally {
      await Promise.all([drop(one, soon()), drop(other, soon())])
    }
  })

  promised('others’ volumes are no marks', async ({ engine, ground }) => {
    const volume = markName()
    await ground.control('volume', 'create', volume)
    try {
      expect(await marks(engine).list(soon())).not.toContain(volume)
    } finally {
      await ground.control('volume', 'rm', volume)
    }
  })
}

function marks(engine: Engine) {
  const found = engine.marks
  if (!found) throw new Error('this engine keeps no marks')
  return found
}
