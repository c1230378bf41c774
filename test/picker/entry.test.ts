import { expect, test } from 'vitest'
import type { ContainerSummary } from '../../src/engine/engine.ts'
import { drawRows } from '../../src/picker/columns.ts'
import { containerEntry, matching, sorted, templateEntry } from '../../src/picker/entry.ts'

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
const compose = { 'com.docker.compose.project': 'shop', 'com.docker.compose.service': 'front' }
const exited = container('stopped', { state: 'exited', status: 'Exited (0) 2 hours ago' })
const entries = [
  containerEntry(exited, true),
  containerEntry(container('web', { image: 'nginx', labels: compose }), false),
  templateEntry('node', 'fresh', 'node:22'),
  containerEntry(container('db', { image: 'postgres:17' }), false),
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

test('the name that compose knows is shown, and found', () => {
  expect(entries[1]?.compose).toBe('front.shop')
  expect(names(matching(entries, 'front.sh'))).toEqual(['web'])
  const scaled = (number: string) =>
    containerEntry(container('x', { labels: { ...compose, 'com.docker.compose.container-number': number } }), false)
  expect([scaled('1').compose, scaled('2').compose]).toEqual(['front.shop', 'front.shop.2'])
})

test('one that does not run and is not started for them comes last, and says so', () => {
  const closed = containerEntry(exited, false)
  expect(closed).toMatchObject({ status: 'not to be started: Exited (0) 2 hours ago', closed: expect.any(String) })
  expect(names(sorted([closed, ...entries.slice(1)], undefined))).toEqual(['db', 'web', '+node', 'stopped'])
  expect(containerEntry(exited, true).closed).toBeUndefined()
})

test('columns are as wide as what they hold', () => {
  const draw = drawRows(entries, 120)
  expect(entries.map(draw)).toEqual([
    'stopped              Exited (0) 2 hours ago    node:22',
    'web      front.shop  Up 3 minutes              nginx',
    '+node                made for this connection  node:22',
    'db                   Up 3 minutes              postgres:17',
  ])
  expect(entries.slice(2).map(drawRows(entries.slice(2), 120))[1]).toBe('db     Up 3 minutes              postgres:17')
})

test('a row is never wider than its terminal, and a name is cut last', () => {
  const long = containerEntry(container('n'.repeat(253), { image: `registry.example/${'i'.repeat(200)}:1` }), false)
  for (const width of [20, 37, 40, 59, 60, 77, 80, 200]) {
    for (const all of [[long, ...entries], entries]) {
      for (const entry of all) expect(drawRows(all, width)(entry).length).toBeLessThanOrEqual(width)
    }
  }
  const web = containerEntry(container('a-name-of-some-length'), false)
  expect(drawRows([web], 37)(web)).toBe('a-name-of-some-length  Up 3 minutes')
  expect(drawRows([web], 33)(web)).toBe('a-name-of-some-length  Up 3 min..')
})

test('nothing of a container reaches the terminal as a control sequence', () => {
  const sent = { image: 'i\x1b]0;title\x07', status: 'Up\r\nroot# \u202e' }
  const labels = { 'com.docker.compose.project': 'a\x1b[2J', 'com.docker.compose.service': 'b\r' }
  const hostile = containerEntry(container('a\x1b[2Jb', { ...sent, labels }), false)
  const drawn = [60, 200].map((width) => drawRows([hostile], width)(hostile)).join('')
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what must not be there
  expect(drawn).not.toMatch(/[\x00-\x1f\x7f-\x9f\u202e]/)
  expect(hostile.name).toBe('a\\x1b[2Jb')
  expect(hostile.ref).toBe('a\x1b[2Jb')
})
