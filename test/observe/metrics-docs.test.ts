/** docs/operations.md has a table of all that is measured. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { PACKAGE_ROOT } from '../../src/base/package-root.ts'
import { createMeters } from '../../src/observe/metrics/meters.ts'

const docs = readFileSync(join(PACKAGE_ROOT, 'docs', 'operations.md'), 'utf8')

interface Declared {
  readonly name: string
  readonly help: string
  readonly type: string
  readonly labelNames: readonly string[]
}

function declared(): Declared[] {
  return createMeters().registry.getMetricsAsArray() as unknown as Declared[]
}

test('the table of metrics has each with its type and labels, and none that is not there', () => {
  const rows = [...docs.matchAll(/^\| `((?:hatchway|process|nodejs)_\w+)` \| (\w+) \| (.*?) \| .+ \|$/gm)]
  const written = rows.map(([, name, type, labels = '']) => {
    const names = [...labels.matchAll(/`(\w+)`/g)].map(([, label]) => label)
    return `${name} ${type} ${names.join(' ')}`.trim()
  })
  const there = declared().map(({ name, type, labelNames }) => `${name} ${type} ${labelNames.join(' ')}`.trim())
  expect(written).toEqual(there)
})

test('each says what it is, in a sentence without quotes, and names its unit', () => {
  for (const { name, help, type } of declared()) {
    expect(help).toMatch(/^[A-Z0-9][^"\\]+\.$/)
    expect(name.endsWith('_total')).toBe(type === 'counter')
    if (type === 'histogram') expect(name).toMatch(/_seconds$/)
  }
})

test('no two are one family to OpenMetrics, which leaves the _total of a counter out of its name', () => {
  const families = declared().map(({ name }) => name.replace(/_total$/, ''))
  expect(families.filter((name, index) => families.indexOf(name) !== index)).toEqual([])
})

test('no label is one whose values a client chooses', () => {
  const labels = new Set(declared().flatMap(({ labelNames }) => labelNames))
  for (const label of ['user', 'identity', 'name', 'container', 'command', 'remote', 'address', 'target', 'path'])
    expect(labels).not.toContain(label)
})
