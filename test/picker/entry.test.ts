import { expect, test } from 'vitest'
import type { ContainerSummary } from '../../src/engine/engine.ts'
import { containerEntry, matching, row, sorted, templateEntry } from '../../src/picker/entry.ts'

const container = (name: string, more: Partial<ContainerSummary> = {}): ContainerSummary => ({
  id: 'f'.repeat(64),
  name,
  image: 'node:22',
  state: 'running',
  status: 'Up 3 minutes',
  createdAt: 0,
  labels: {},
  ports: [],
  mounts: [],
  ...more,
})
const entries = [
  containerEntry(container('stopped', { state: 'exited', status: 'Exited (0) 2 hours ago' })),
  containerEntry(container('web', { image: 'nginx' })),
  templateEntry('node', 'fresh', 'node:22'),
  containerEntry(container('db', { image: 'postgres:17' })),
]
const names = (found: readonly { name: string }[]) => found.map(({ name }) => name)

test('what runs comes first, templates last, and a near name before all', () => {
  expect(names(sorted(entries, undefined))).toEqual(['db', 'web', 'stopped', '+node'])
  expect(names(sorted(entries, 'stoped'))).toEqual(['stopped', 'db', 'web', '+node'])
})

test('every word typed must be in the row, wherever', () => {
  expect(names(matching(entries, ''))).toHaveLength(4)
  expect(names(matching(entries, 'POST up'))).toEqual(['db'])
  expect(names(matching(entries, 'db nginx'))).toEqual([])
})

test('a row is never wider than its terminal', () => {
  const long = containerEntry(container('n'.repeat(253), { image: `registry.example/${'i'.repeat(200)}:1` }))
  for (const width of [20, 37, 40, 59, 60, 77, 80, 200]) {
    for (const entry of [long, ...entries]) expect(row(entry, width).length).toBeLessThanOrEqual(width)
  }
  expect(row(containerEntry(container('web')), 37)).toMatch(/^web +Up 3 minutes$/)
  expect(row(containerEntry(container('web')), 77)).toMatch(/^web +Up 3 minutes +node:22$/)
})

test('nothing of a container reaches the terminal as a control sequence', () => {
  const hostile = containerEntry(container('a\x1b[2Jb', { image: 'i\x1b]0;title\x07', status: 'Up\r\nroot# \u202e' }))
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what must not be there
  expect(`${row(hostile, 60)}${row(hostile, 200)}`).not.toMatch(/[\x00-\x1f\x7f-\x9f\u202e]/)
  expect(hostile.name).toBe('a\\x1b[2Jb')
  expect(hostile.ref).toBe('a\x1b[2Jb')
})
