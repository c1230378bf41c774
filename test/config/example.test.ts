import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { PACKAGE_ROOT } from '../../src/base/package-root.ts'
import { exampleConfig } from '../../src/config/example.ts'
import { leaves } from '../../src/config/layers.ts'
import { loadConfig } from '../../src/config/load.ts'
import { configJsonSchema, PATH_KEYS, SECRET_KEYS } from '../../src/config/schema.ts'

const file = join(PACKAGE_ROOT, 'config', 'hatchway.yaml')

describe('config/hatchway.yaml', () => {
  it('is what `hatchway config example` writes', () => {
    expect(readFileSync(file, 'utf8')).toBe(exampleConfig())
  })

  it('equals the defaults', () => {
    expect(loadConfig({ file, env: {} }).config).toEqual(loadConfig({ file: '/dev/null', env: {} }).config)
  })

  it('has every key, and its examples are valid', () => {
    const text = readFileSync(file, 'utf8')
    for (const { path } of leaves()) expect(text).toMatch(new RegExp(`^ *#?${path.at(-1)}:`, 'm'))
    const flags = leaves().flatMap(({ path }) => {
      const schema = path.reduce<Record<string, unknown>>(
        (node, key) => (node.properties as Record<string, Record<string, unknown>>)[key] ?? {},
        configJsonSchema() as Record<string, unknown>,
      )
      const example = Array.isArray(schema.examples) ? schema.examples[0] : undefined
      return example === undefined ? [] : [{ flag: path.join('.'), key: path, value: example }]
    })
    expect(flags.length).toBeGreaterThan(5)
    expect(() => loadConfig({ file: '/dev/null', env: {}, flags })).not.toThrow()
  })

  it('explains every key', () => {
    const undescribed = Object.entries(configJsonSchema().properties ?? {}).filter(
      ([, schema]) => typeof schema !== 'object' || !schema.description,
    )
    expect(undescribed).toEqual([])
  })

  it('names only keys that exist as file names', () => {
    const known = leaves().map(({ path }) => path.join('.'))
    expect([...PATH_KEYS, ...SECRET_KEYS].filter((key) => !known.includes(key.replace(/\.\*.*/, '')))).toEqual([])
  })
})
