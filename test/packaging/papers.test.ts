/** What a person looks for first in a project: its licence, how it changes, whom to tell. */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { expect, test } from 'vitest'

const ROOT = resolve(import.meta.dirname, '../..')
const read = (file: string) => readFileSync(join(ROOT, file), 'utf8')

test('the licence is the whole of Apache-2.0, and the package says so', () => {
  const published = 'cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30'
  expect(createHash('sha256').update(read('LICENSE')).digest('hex')).toBe(published)
  expect(JSON.parse(read('package.json'))).toMatchObject({ license: 'Apache-2.0' })
})

test('the changes begin with what is not released, and name the version of the package', () => {
  const [first, second] = [...read('CHANGELOG.md').matchAll(/^## (.+)$/gm)].map((match) => match[1])
  expect([first, second]).toEqual(['Unreleased', JSON.parse(read('package.json')).version])
})

test.each(['CHANGELOG.md', 'SECURITY.md', 'CONTRIBUTING.md', 'LICENSE'])('README leads to %s', (file) => {
  expect(read('README.md')).toContain(`](${file})`)
})

test('README says how to install, upgrade and uninstall, and what stays behind', () => {
  const section = /## Install, upgrade, uninstall[\s\S]*?\n## /.exec(read('README.md'))?.[0] ?? ''
  for (const step of ['npm install --global', 'npm uninstall --global', 'config-ssh --uninstall', 'config check'])
    expect(section).toContain(step)
  for (const place of ['.local/state/hatchway', '.config/hatchway', '/etc/hatchway', 'hatchway.kind=personal'])
    expect(section).toContain(place)
})

test.each(['README.md', 'SECURITY.md', 'CONTRIBUTING.md'])('every file that %s leads to is there', (file) => {
  for (const [, path = ''] of read(file).matchAll(/\]\(([^)#:]+)\)/g))
    expect(() => readFileSync(join(ROOT, path))).not.toThrow()
})
