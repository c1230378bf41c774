/** One word, one thing: no exported name of src/ stands for two. */
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { expect, test } from 'vitest'

const src = path.resolve(import.meta.dirname, '../src')
const EXPORT = /^export (?:async )?(?:abstract )?(?:function\*?|class|interface|type|const|enum) ([A-Za-z_$][\w$]*)/gm

test('no exported name stands for two things', () => {
  const files = readdirSync(src, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'))
  const places = new Map<string, Set<string>>()
  for (const file of files) {
    for (const [, name = ''] of readFileSync(path.join(src, file), 'utf8').matchAll(EXPORT)) {
      places.set(name, (places.get(name) ?? new Set()).add(file))
    }
  }
  expect(places.size).toBeGreaterThan(500)
  const doubled = [...places].filter(([, where]) => where.size > 1).map(([name, where]) => [name, ...where].join(' '))
  expect(doubled).toEqual([])
})
