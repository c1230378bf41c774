import { afterEach, expect, test } from 'vitest'
import { createEngineHealth } from '../../src/engine/answers.ts'
import type { Engine } from '../../src/engine/engine.ts'
import { createManyEngine } from '../../src/engine/many/many.ts'
import { fakeEngine } from '../support/fake-engines.ts'

const engines: Engine[] = []
afterEach(async () => {
  for (const engine of engines.splice(0)) await engine.close()
})

function several() {
  const [east, west] = [fakeEngine('unix:///east'), fakeEngine('unix:///west')]
  const whole = createManyEngine({ east, west })
  engines.push(whole)
  return { east, west, health: createEngineHealth(whole, ['east', 'west']) }
}
const asked = ({ calls }: { readonly calls: readonly string[] }) => calls.filter((call) => call.startsWith('inspect'))

test('the only engine is known by its kind, and its failure is told', async () => {
  const engine = fakeEngine('unix:///one')
  engines.push(engine)
  const health = createEngineHealth(engine, [])
  expect(health.known()).toEqual({})
  await health.ask()
  expect(health.known()).toEqual({ fake: true })
  engine.does = 'fail'
  await expect(health.ask()).rejects.toThrow('the container engine is not reachable')
  expect(health.known()).toEqual({ fake: false })
})

test('of several one that answers is enough; where none does each says why', async () => {
  const { east, west, health } = several()
  east.does = 'fail'
  await health.ask()
  await expect.poll(health.known).toEqual({ east: false, west: true })
  west.does = 'fail'
  await expect(health.ask()).rejects.toThrow('engine east is not reachable; engine west is not reachable')
  expect(health.known()).toEqual({ east: false, west: false })
})

test('one that hangs holds up nobody, and is not asked again before it has ended', async () => {
  const { east, west, health } = several()
  east.does = 'hang'
  for (let round = 0; round < 5; round++) await health.ask()
  expect(asked(east)).toHaveLength(1)
  expect(asked(west)).toHaveLength(5)
  expect(health.known()).toEqual({ west: true })
  await expect.poll(health.known).toEqual({ east: false, west: true })
})
