/** The manual pages: what they must have, and that man(1) has nothing to say against them. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { leaves } from '../../src/config/layers.ts'
import { hatchway } from '../support/program.ts'
import { run } from '../support/run.ts'

vi.setConfig({ testTimeout: 120_000 })

const NO_MAN = (await run('sh', ['-c', 'command -v man'])).code !== 0

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'hw-test-man-'))
})
afterAll(() => rmSync(folder, { recursive: true }))

describe.each([
  [
    'hatchway',
    'hatchway.1',
    ['NAME', 'SYNOPSIS', 'COMMANDS', 'ENVIRONMENT', 'FILES', 'EXIT STATUS', 'EXAMPLES', 'SEE ALSO'],
  ],
  ['hatchway.yaml', 'hatchway.yaml.5', ['NAME', 'DESCRIPTION', 'KEYS', 'EXAMPLES', 'SEE ALSO']],
])('%s', (page, file, sections) => {
  it('has its sections in order', async () => {
    const { code, out } = await hatchway(['man', page])
    expect(code).toBe(0)
    expect([...out.matchAll(/^\.SH (.+)$/gm)].map((match) => match[1])).toEqual(sections)
  })

  it.skipIf(NO_MAN)('is drawn without a warning', async () => {
    const path = join(folder, file)
    writeFileSync(path, (await hatchway(['man', page])).out)
    const { code, stdout, stderr } = await run('man', ['--warnings', '-l', path], { env: { MANWIDTH: '80' } })
    expect([code, stderr.toString()]).toEqual([0, ''])
    expect(stdout.toString()).toMatch(/^\s*HATCHWAY/)
  })
})

it('hatchway.yaml(5) has every key, those of users, rules and templates, too', async () => {
  const { out } = await hatchway(['man', 'hatchway.yaml'])
  const keys = new Set([...out.matchAll(/^\.B (\S+)$/gm)].map((match) => match[1]?.replaceAll('\\-', '-')))
  const missing = leaves().flatMap(({ path }) => (keys.has(path.join('.')) ? [] : [path.join('.')]))
  expect(missing).toEqual([])
  for (const key of [
    'users.NAME.totpSecretFile',
    'rules[].who.groups',
    'rules[].actions.create',
    'templates.NAME.image',
  ])
    expect(keys).toContain(key)
  expect(keys).toContain('picker.again')
})

it('every command has its place in hatchway(1), and no other page is known', async () => {
  const { out } = await hatchway(['man'])
  for (const command of ['serve', 'policy explain', 'config check', 'version'])
    expect(out).toContain(`.SS hatchway ${command}`)
  expect(await hatchway(['man', 'nothing'])).toMatchObject({ code: 2, err: expect.stringContaining('no page nothing') })
})
