import { describe, expect, it } from 'vitest'
import { bytes, SINCE_WIDTH, since, span } from '../../src/cli/amounts.ts'
import { type Column, table } from '../../src/cli/table.ts'

interface Row {
  readonly name: string
  readonly text: string
}
const COLUMNS: Column<Row>[] = [
  { head: 'NAME', cell: (row) => row.name },
  { head: 'NOTHING', cell: () => '' },
  { head: 'TEXT', cell: (row) => row.text },
]

describe('a table', () => {
  it('has columns as wide as their content, and none that are empty', () => {
    expect(
      table(
        COLUMNS,
        [
          { name: 'web', text: 'x' },
          { name: 'database', text: 'y' },
        ],
        undefined,
      ),
    ).toBe('NAME      TEXT\nweb       x\ndatabase  y\n')
  })

  it.each([30, 40, 80])('fits a terminal of %i columns, cutting the widest', (width) => {
    const text = table(COLUMNS, [{ name: 'web', text: 'x'.repeat(300) }], width)
    const lines = text.trimEnd().split('\n')
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(width)
    expect(lines[1]).toMatch(/^web {3}x+…$/)
  })

  it('cuts what is to be kept last', () => {
    const columns = COLUMNS.map((column) => ({ ...column, keep: column.head === 'NAME' }))
    const row = { name: 'n'.repeat(30), text: 'x'.repeat(20) }
    expect(table(columns, [row], 40).split('\n')[1]).toBe(`${'n'.repeat(30)}  xxxxxxx…`)
    expect(table(columns, [row], 20).split('\n')[1]).toBe(`${'n'.repeat(11)}…  xxxxx…`)
  })

  it('does not let content move the cursor or make lines', () => {
    expect(table(COLUMNS, [{ name: 'web', text: '\u001b[2J\nroot' }], undefined)).toBe(
      'NAME  TEXT\nweb   \\x1b[2J\\x0aroot\n',
    )
  })
})

it.each([
  [0, '0B'],
  [1023, '1023B'],
  [1536, '1.5K'],
  [20 * 1024 ** 2, '20M'],
])('writes %i bytes as %s', (count, text) => expect(bytes(count)).toBe(text))

it.each([
  [999, '0s'],
  [61_000, '1m1s'],
  [3_720_000, '1h2m'],
  [90_000_000, '1d1h'],
])('writes %i ms as %s', (milliseconds, text) => expect(span(milliseconds)).toBe(text))

it.each([
  [new Date(2026, 10, 30, 3, 4, 5), '03:04:05'],
  [new Date(2026, 10, 29, 3, 4, 5), '11-29 03:04'],
  [new Date(2025, 10, 30, 3, 4, 5), '2025-11-30'],
])('writes since %s, seen in November 2026, as %s', (date, text) => {
  const now = new Date(2026, 10, 30, 23, 0).getTime()
  expect(since(date.getTime(), now)).toBe(text)
  expect(text.length).toBeLessThanOrEqual(SINCE_WIDTH)
})
