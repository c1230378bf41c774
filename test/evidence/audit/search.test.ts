/** What an auditor asks of a trail, over its rotated files and beside other trails. */
import { mkdir, readFile, utimes, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { Writable } from 'node:stream'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { auditKey, auditSearch, auditVerify } from '../../../src/cli/audit.ts'
import { type Config, configSchema } from '../../../src/config/schema.ts'
import { AUDIT_ACTIONS } from '../../../src/evidence/audit/actions.ts'
import { type AuditQuery, searchTrails } from '../../../src/evidence/audit/search.ts'
import { run } from '../../support/run.ts'
import { trailFolder } from './world.ts'

let world: Awaited<ReturnType<typeof trailFolder>>
let config: Config
beforeEach(async () => {
  world = await trailFolder()
  const keysDirectory = join(world.folder, 'keys')
  config = { ...configSchema.parse({ audit: { file: world.file } }), keysDirectory } as Config
  const trail = await world.open({ rotateSize: 4000 })
  for (let hour = 0; hour < 24; hour++) {
    const at = `2026-11-30T${String(hour).padStart(2, '0')}:00:00.000Z`
    const identity = hour % 2 === 0 ? 'anna' : 'bob "the \u202ebuilder"'
    const container = { id: `c0ffee${hour}`, name: hour % 3 === 0 ? 'web' : 'web-db', image: 'busybox' }
    const about = { gateway: { id: 'g' }, identity, fingerprint: `SHA256:${identity.length}`, container, user: 'dev' }
    trail.add({
      at,
      action: hour % 4 === 0 ? 'login' : 'session-start',
      outcome: hour === 5 ? 'refused' : 'ok',
      ...about,
    })
    await trail.settled()
  }
  await trail.close()
})
afterEach(() => world.remove())

async function hours(query: Partial<AuditQuery>): Promise<number[]> {
  const found: number[] = []
  for await (const { record } of searchTrails({ file: world.file, ...query }))
    if (record.identity !== undefined) found.push(new Date(String(record.at)).getUTCHours())
  return found
}
const every = (step: number, from = 0) =>
  Array.from({ length: 24 }, (_, hour) => hour).filter((hour) => hour % step === from)

test.each<[Partial<AuditQuery>, number[]]>([
  [{}, every(1)],
  [{ who: 'anna' }, every(2)],
  [{ who: 'bob "the \u202ebuilder"' }, every(2, 1)],
  [{ who: 'b*' }, every(2, 1)],
  [{ who: 'SHA256:4' }, every(2)],
  [{ who: 'ann' }, []],
  [{ container: 'web' }, every(3)],
  [{ container: 'web*' }, every(1)],
  [{ container: 'c0ffee7' }, [7]],
  [{ container: 'we' }, []],
  [{ action: 'login', who: 'anna' }, every(4)],
  [{ action: 'session-*', container: 'web' }, every(3).filter((hour) => hour % 4 !== 0)],
  [{ outcome: 'refused' }, [5]],
  [{ since: Date.parse('2026-11-30T20:00:00Z') }, [20, 21, 22, 23]],
  [{ since: Date.parse('2026-11-30T20:00:00Z'), until: Date.parse('2026-11-30T21:00:00Z'), who: 'anna' }, [20]],
])('%j', async (query, expected) => {
  expect(await hours(query)).toEqual(expected)
})

test('a rotated file that ended before is not read', async () => {
  const first = `${world.file}.000001`
  const since = Date.parse('2026-11-30T00:00:00Z')
  expect(await hours({ since })).toHaveLength(24)
  await utimes(first, 0, 0)
  expect((await hours({ since })).length).toBeLessThan(24)
})

test('half a record, and text of something else, is passed by', async () => {
  await writeFile(world.file, '{"identity":"anna","at":"2026\n\n[1]\nnull\n"anna"\n{"identity":"anna"', { flag: 'a' })
  expect(await hours({ who: 'anna' })).toEqual(every(2))
})

describe('hatchway audit', () => {
  async function search(flags: object, file?: string): Promise<string> {
    let text = ''
    const output = new Writable({
      write(chunk, _, done) {
        text += chunk
        done()
      },
    })
    await auditSearch(config, file, { json: false, ...flags }, output)
    return text
  }

  test('search prints a line for people, without what would move their cursor, and the very record as JSON', async () => {
    const [line] = (await search({ who: 'b*' })).split('\n')
    expect(line).toBe(
      '2026-11-30T01:00:00.000Z  ok  session-start  bob "the \\u202ebuilder"  dev@web-db  fingerprint=SHA256:18',
    )
    const [json] = (await search({ who: 'b*', json: true })).split('\n')
    expect(await world.lines(`${world.file}.000001`)).toContain(json)
  })

  test('search says what a time and an outcome must be, and which file there is not', async () => {
    await expect(search({ since: 'yesterday' })).rejects.toThrow('--since: expected a time such as 2h')
    await expect(search({ outcome: 'denied' })).rejects.toThrow('--outcome: expected one of ok, refused, failed')
    expect(await search({ outcome: 'refused' })).toContain('refused')
    expect(await search({ since: '1m' })).toBe('')
    await expect(search({}, '/nonexistent/audit.jsonl')).rejects.toThrow(/cannot be read/)
    config = { ...config, audit: configSchema.parse({}).audit }
    await expect(search({})).rejects.toThrow('there is no audit trail')
  })

  test.each([
    ['sesion-start', /no record is called sesion-start, but login, logout, .*; did you mean session-start\?$/],
    ['frobnicate', /no record is called frobnicate, but login, .*, disturbed$/],
    ['files*', /no record is called files\*, but login/],
  ])('search refuses the action %j, which no record has', async (action, said) => {
    await expect(search({ action })).rejects.toThrow(said)
  })

  test.each([...AUDIT_ACTIONS, 'session-*', '*', 'f?le'])('search knows the action %s', async (action) => {
    await expect(search({ action })).resolves.toBeTypeOf('string')
  })

  test('the actions that a record may have are those that docs/audit.md explains', async () => {
    const docs = await readFile(resolve(import.meta.dirname, '../../../docs/audit.md'), 'utf8')
    const [, section = ''] = docs.split(/^## /m)
    const rows = section.split('\n').filter((line) => /^\| `(?!action)/.test(line))
    const words = rows.flatMap((row) => {
      const [first = ''] = row.split(' | ')
      const names = [...first.matchAll(/`([a-z-]+)`/g)].map(([, word = '']) => word)
      return names.map((word) => (word.startsWith('-') ? `container${word}` : word))
    })
    expect(words.sort()).toEqual([...AUDIT_ACTIONS].sort())
  })

  test('verify says that it is whole, or what is not, and by exit code', async () => {
    const none = { keys: [], anchors: [], json: false }
    const good = await auditVerify(config, undefined, none)
    expect(good).toMatchObject({ whole: true, text: expect.stringMatching(/24|records .* whole\n$/) })
    await world.change((lines) => lines.slice(1))
    const bad = await auditVerify(config, undefined, none)
    expect(bad).toMatchObject({ whole: false, text: expect.stringMatching(/NOT WHOLE\n {2}problem: /) })
    expect(JSON.parse((await auditVerify(config, undefined, { ...none, json: true })).text)).toHaveLength(1)
  })

  test('verify trusts only the keys that it is given', async () => {
    const other = join(world.folder, 'other')
    await mkdir(other)
    await run('ssh-keygen', ['-q', '-N', '', '-t', 'ed25519', '-f', join(other, 'key')])
    const with_ = (keys: string[]) => auditVerify(config, undefined, { keys, anchors: [], json: false })
    expect(await with_([join(other, 'key.pub')])).toMatchObject({ whole: false })
    expect(await with_([world.allowed])).toMatchObject({ whole: true })
    await expect(with_([join(other, 'none')])).rejects.toThrow(/cannot be read/)
  })

  test('key prints what ssh-keygen verifies the heads with', async () => {
    const allowed = join(world.folder, 'printed')
    await writeFile(allowed, await auditKey(config))
    const args = [
      '-Y',
      'verify',
      '-f',
      allowed,
      '-I',
      'hatchway-audit',
      '-n',
      'hatchway-audit',
      '-s',
      `${world.file}.head.sig`,
    ]
    const { code } = await run('sh', ['-c', `ssh-keygen ${args.join(' ')} <${world.file}.head`])
    expect(code).toBe(0)
  })
})
