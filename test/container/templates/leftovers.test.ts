/** Whose a fresh container is, and when it is nobody's: on an engine that only notes what is removed. */
import { expect, test } from 'vitest'
import { HatchwayError } from '../../../src/base/errors.ts'
import { newLeaseName } from '../../../src/container/templates/lease-watch.ts'
import { createLeftovers } from '../../../src/container/templates/leftovers.ts'
import { LABELS, LEASED, NOT_LEASED } from '../../../src/container/templates/template.ts'
import type { ContainerState, ContainerSummary, Engine, Lifecycle } from '../../../src/engine/engine.ts'

const [OURS, THEIRS, DEAD] = ['a'.repeat(32), 'b'.repeat(32), 'c'.repeat(32)]
const signal = () => new AbortController().signal
const NAME = 'hatchway-t-0123abcd'

interface Row {
  readonly labels: Readonly<Record<string, string>>
  readonly name?: string
  readonly state?: ContainerState
}

function fresh(labels: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  return { [LABELS.kind]: 'fresh', [LABELS.template]: 't', ...labels }
}

/** Of another machine, with a lease. */
const leased = (instance: string) =>
  fresh({
    [LABELS.gateway]: 'g2',
    [LABELS.folder]: 'f2',
    [LABELS.instance]: instance,
    [LABELS.lease]: LEASED,
  })

function world(rows: readonly Row[], { marks = true } = {}) {
  let there: ContainerSummary[] = rows.map(({ labels, name = NAME, state = 'running' }, index) => {
    const rest = { image: 'i', status: '', createdAt: 0, ports: [], mounts: [] }
    return { id: `${index}`, name, state, labels, ...rest }
  })
  const held = new Set<string>()
  const faults = { list: false, inside: false, remove: '' }
  const lifecycle: Partial<Lifecycle> = {
    anyInside: async () => faults.inside,
    remove: async (id) => {
      if (id === faults.remove) throw new HatchwayError('ENGINE_ERROR', 'device or resource busy')
      there = there.filter((one) => one.id !== id)
    },
  }
  const engine: Partial<Engine> = {
    list: async () => {
      if (faults.list) throw new HatchwayError('ENGINE_TIMEOUT', 'hangs')
      return there
    },
    lifecycle: lifecycle as Lifecycle,
    ...(marks && {
      marks: {
        put: async () => {},
        list: async () => [...held],
        drop: async (name: string) => void held.delete(name),
      },
    }),
  }
  // THEIRS lives in our folder; whoever is in none is not found there either.
  const instance = {
    ...{ gateway: 'g', id: OURS, folder: 'f', close: async () => {} },
    lives: async (id: string) => id === OURS || id === THEIRS,
  }
  const wanted = new Set<string>()
  const leftovers = createLeftovers(
    engine as Engine,
    instance,
    (name) => wanted.has(name),
    () => {},
  )
  const sweeps = async (times: number, before = () => {}) => {
    let soon = false
    for (let round = 0; round < times; round++) {
      before()
      ;({ soon } = await leftovers.sweep(signal))
    }
    return { left: there.length, soon }
  }
  return { sweeps, wanted, held, faults, left: () => there.length }
}

test.each<[string, Record<string, string>, 'stays' | 'goes', ('wanted' | 'ended')[]]>([
  ['its own, wanted', { [LABELS.instance]: OURS }, 'stays', ['wanted']],
  ['its own, not wanted', { [LABELS.instance]: OURS }, 'goes', []],
  ['of a living process of its folder', { [LABELS.instance]: THEIRS, [LABELS.folder]: 'f' }, 'stays', []],
  ['of a dead process of its folder', { [LABELS.instance]: DEAD, [LABELS.folder]: 'f' }, 'goes', []],
  // The machine-id, path and inode were copied; or another container of the same image has them.
  ['of the same installation elsewhere', { [LABELS.instance]: DEAD, [LABELS.folder]: 'f2' }, 'stays', []],
  [
    'of the same, before a restart of the machine',
    { [LABELS.instance]: DEAD, [LABELS.folder]: 'f2' },
    'goes',
    ['ended'],
  ],
  ['of an older version, dead', { [LABELS.instance]: DEAD }, 'goes', []],
  ['of an older version, alive', { [LABELS.instance]: THEIRS }, 'stays', []],
  ['of another installation', { [LABELS.instance]: DEAD, [LABELS.gateway]: 'g2', [LABELS.folder]: 'f2' }, 'stays', []],
])('without a lease: %s %s', async (_what, labels, fate, how) => {
  const state = how.includes('ended') ? 'exited' : 'running'
  const { sweeps, wanted } = world([
    { labels: fresh({ [LABELS.gateway]: 'g', [LABELS.lease]: NOT_LEASED, ...labels }), state },
  ])
  if (how.includes('wanted')) wanted.add(NAME)
  expect((await sweeps(20)).left).toBe(fate === 'stays' ? 1 : 0)
})

test('another machine’s stays while its lease is renewed, and goes when it is not', async () => {
  const { sweeps, held } = world([{ labels: leased(DEAD) }])
  const renew = () => {
    held.clear()
    held.add(newLeaseName(DEAD))
  }
  expect(await sweeps(20, renew)).toEqual({ left: 1, soon: false })
  expect(await sweeps(4)).toEqual({ left: 1, soon: true })
  expect(await sweeps(1)).toEqual({ left: 0, soon: true })
  expect(await sweeps(1)).toEqual({ left: 0, soon: false })
  expect(held.size).toBe(0)
})

test('a folder’s socket tells at once, also where there is a lease', async () => {
  const labels = { ...leased(DEAD), [LABELS.folder]: 'f' }
  const dead = world([{ labels }])
  dead.held.add(newLeaseName(DEAD))
  expect((await dead.sweeps(1)).left).toBe(0)
  expect(dead.held.size).toBe(0)
  const alive = { ...leased(THEIRS), [LABELS.folder]: 'f' }
  expect((await world([{ labels: alive }]).sweeps(20)).left).toBe(1)
})

test('one in which somebody is stays, and goes when they have left', async () => {
  const { sweeps, held, faults } = world([{ labels: leased(DEAD) }])
  held.add(newLeaseName(DEAD))
  faults.inside = true
  expect((await sweeps(20)).left).toBe(1)
  expect(held.size).toBe(1)
  faults.inside = false
  expect((await sweeps(1)).left).toBe(0)
  await sweeps(1)
  expect(held.size).toBe(0)
})

test('one that cannot be removed keeps no other from it, and is tried again', async () => {
  const own = fresh({ [LABELS.instance]: OURS })
  const busy = world([{ labels: own }, { labels: own }, { labels: leased(DEAD) }])
  busy.faults.remove = '0'
  expect(await busy.sweeps(6)).toEqual({ left: 1, soon: true })
  expect(busy.left()).toBe(1)
  busy.faults.remove = ''
  await busy.sweeps(1)
  expect(busy.left()).toBe(0)
})

test('an engine that hangs between two looks has the count begin anew', async () => {
  const { sweeps, faults, left } = world([{ labels: leased(DEAD) }])
  await sweeps(5)
  faults.list = true
  await expect(sweeps(1)).rejects.toMatchObject({ code: 'ENGINE_TIMEOUT' })
  faults.list = false
  expect((await sweeps(5)).left).toBe(1)
  await sweeps(1)
  expect(left()).toBe(0)
})

// As `docker commit` of a fresh container makes it, and `docker run --name` of that.
test.each<[string, Record<string, string>]>([
  ['this process', { [LABELS.instance]: OURS, [LABELS.gateway]: 'g' }],
  ['a dead process of its folder', { [LABELS.instance]: DEAD, [LABELS.gateway]: 'g', [LABELS.folder]: 'f' }],
  ['a dead process of its installation', { [LABELS.instance]: DEAD, [LABELS.gateway]: 'g' }],
  ['another machine, with a lease', leased(DEAD)],
])('labels of %s that an image brings do not have a container removed', async (_whose, labels) => {
  const rows = ['mywork', 'hatchway-t', 'hatchway-t-0123abc', 'hatchway-u-0123abcd', 'hatchway-t-0123abcdef01']
  const { sweeps } = world(rows.map((name) => ({ labels: fresh(labels), name, state: 'exited' })))
  expect((await sweeps(20)).left).toBe(rows.length)
})

test('a personal one is nobody’s leftover, and an engine without marks tells of no lease', async () => {
  const personal = { ...leased(DEAD), [LABELS.kind]: 'personal' }
  expect((await world([{ labels: personal }]).sweeps(20)).left).toBe(1)
  expect((await world([{ labels: leased(DEAD) }], { marks: false }).sweeps(20)).left).toBe(1)
})

test('a lease that a killed gateway left without a container goes, too', async () => {
  const { sweeps, held } = world([])
  held.add(newLeaseName(DEAD)).add(newLeaseName(DEAD))
  held.add(newLeaseName(OURS))
  // Not at the first look: `hatchway stdio` has no other.
  await sweeps(7)
  expect([...held]).toEqual([expect.stringContaining(OURS)])
})
