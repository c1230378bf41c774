/**
 * The formats of others, held against what their published schemas require, and against the fields that they know of; and
 * in each the chain, what verifies it and what searches it.
 *
 * ECS: generated/ecs/ecs_flat.yml of elastic/ecs, tag v9.4.0.
 * OCSF: events/ and objects/ of ocsf/ocsf-schema, tag 1.8.0.
 */
import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { FORMATS } from '../../../src/evidence/audit/formats/format.ts'
import { type AuditQuery, searchTrails } from '../../../src/evidence/audit/search.ts'
import { SAMPLES } from './format-samples.ts'
import { trailFolder } from './world.ts'

type Json = Readonly<Record<string, unknown>>

let world: Awaited<ReturnType<typeof trailFolder>>
beforeEach(async () => {
  world = await trailFolder()
})
afterEach(() => world.remove())

async function written(format: keyof typeof FORMATS): Promise<Json[]> {
  const trail = await world.open({ format })
  for (const record of SAMPLES) trail.add(record)
  await trail.close()
  return (await world.lines()).map((line): Json => JSON.parse(line))
}

/** Its fields by their names with dots, down to what is no object. */
function leaves(value: object, above = ''): [string, unknown][] {
  return Object.entries(value).flatMap(([name, inner]): [string, unknown][] =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? leaves(inner, `${above}${name}.`)
      : [[`${above}${name}`, inner]],
  )
}

/** `required: true` */
const ECS_REQUIRED = ['@timestamp', 'ecs.version']
/** Of those that ECS knows, the ones that are written; their `type`. */
const ECS_FIELDS: Readonly<Record<string, 'keyword' | 'long' | 'ip' | 'date' | 'boolean'>> = {
  ...{ '@timestamp': 'date', 'ecs.version': 'keyword', message: 'keyword' },
  ...{ 'event.kind': 'keyword', 'event.category': 'keyword', 'event.type': 'keyword', 'event.action': 'keyword' },
  ...{ 'event.outcome': 'keyword', 'event.module': 'keyword', 'event.dataset': 'keyword', 'event.provider': 'keyword' },
  ...{ 'event.reason': 'keyword', 'event.code': 'keyword', 'event.duration': 'long', 'error.code': 'keyword' },
  ...{ 'observer.hostname': 'keyword', 'observer.vendor': 'keyword', 'observer.product': 'keyword' },
  ...{ 'observer.type': 'keyword', 'user.name': 'keyword', 'user.effective.name': 'keyword', 'rule.name': 'keyword' },
  ...{ 'source.address': 'keyword', 'source.ip': 'ip', 'source.domain': 'keyword', 'source.port': 'long' },
  ...{ 'source.bytes': 'long', 'destination.address': 'keyword', 'destination.ip': 'ip', 'destination.port': 'long' },
  ...{ 'destination.domain': 'keyword', 'destination.bytes': 'long', 'network.protocol': 'keyword' },
  ...{ 'network.transport': 'keyword', 'container.id': 'keyword', 'container.name': 'keyword' },
  ...{ 'container.image.name': 'keyword', 'process.command_line': 'keyword', 'process.exit_code': 'long' },
  ...{ 'process.interactive': 'boolean', 'file.path': 'keyword', 'file.target_path': 'keyword', 'file.size': 'long' },
  ...{ 'file.hash.sha256': 'keyword', 'related.user': 'keyword', 'related.ip': 'ip', 'related.hash': 'keyword' },
}
/** event.category's allowed_values, each with its expected_event_types. */
const ECS_TYPES: Readonly<Record<string, readonly string[]>> = {
  authentication: ['start', 'end', 'info'],
  configuration: ['access', 'change', 'creation', 'deletion', 'info'],
  file: ['access', 'change', 'creation', 'deletion', 'info'],
  host: ['access', 'change', 'end', 'info', 'start'],
  network: ['access', 'allowed', 'connection', 'denied', 'end', 'info', 'protocol', 'start'],
  process: ['access', 'change', 'end', 'info', 'start'],
  session: ['start', 'end', 'info'],
}
const ECS_KINDS = ['alert', 'asset', 'enrichment', 'event', 'metric', 'state', 'pipeline_error', 'signal']

const TYPE_OF = { keyword: 'string', long: 'number', ip: 'string', date: 'string', boolean: 'boolean' }

test('ecs has what Elastic Common Schema requires, and knows every field besides our own set', async () => {
  for (const { hatchway, ...line } of await written('ecs')) {
    expect(hatchway).toMatchObject({ seq: expect.any(Number), action: expect.any(String) })
    const fields = new Map(leaves(line))
    for (const name of ECS_REQUIRED) expect(fields.get(name)).toEqual(expect.any(String))
    for (const [name, value] of fields) {
      const type = ECS_FIELDS[name]
      if (!type) throw new Error(`ECS has no ${name}`)
      for (const one of [value].flat()) expect({ name, type: typeof one }).toEqual({ name, type: TYPE_OF[type] })
    }
    expect(ECS_KINDS).toContain(fields.get('event.kind'))
    expect(['success', 'failure', 'unknown']).toContain(fields.get('event.outcome'))
    const categories = [fields.get('event.category')].flat().map(String)
    const types = [fields.get('event.type')].flat().map(String)
    expect([categories.length, types.length]).not.toContain(0)
    // Each type must be one that at least one of its categories expects.
    const expected = new Set(categories.flatMap((name) => ECS_TYPES[name] ?? []))
    for (const name of categories) expect(Object.keys(ECS_TYPES)).toContain(name)
    for (const type of types) expect([...expected]).toContain(type)
  }
})

/** base_event.json, `requirement: required`; all classes have these. */
const OCSF_BASE = ['activity_id', 'category_uid', 'class_uid', 'metadata', 'severity_id', 'time', 'type_uid']
interface OcsfClass {
  readonly category: number
  readonly activities: readonly number[]
  readonly required: readonly string[]
  readonly oneOf?: readonly string[]
  /** Of what it knows, besides the base and the profiles host and container, the ones that are written. */
  readonly knows: readonly string[]
}
const NETWORK = { oneOf: ['dst_endpoint', 'src_endpoint'], activities: [1, 2, 3, 4, 5, 6, 7, 99], category: 4 }
const OCSF_CLASSES: Readonly<Record<number, OcsfClass>> = {
  0: { category: 0, activities: [0, 99], required: [], knows: [] },
  1007: {
    ...{ category: 1, activities: [1, 2, 3, 4, 5, 99], required: ['actor', 'device', 'process'] },
    knows: ['process', 'exit_code'],
  },
  4001: { ...NETWORK, required: [], knows: ['src_endpoint', 'dst_endpoint', 'traffic'] },
  4007: {
    ...{ ...NETWORK, required: [] },
    knows: ['src_endpoint', 'dst_endpoint', 'traffic', 'auth_type', 'auth_type_id', 'file'],
  },
}
const OCSF_KNOWN = [
  ...[...OCSF_BASE, 'activity_name', 'status_id', 'status_code', 'status_detail', 'duration', 'unmapped'],
  ...['actor', 'device', 'container'],
]
interface OcsfObject {
  readonly required: readonly string[]
  readonly oneOf?: readonly string[]
  readonly knows: readonly string[]
}
const ENDPOINT = { required: [], oneOf: ['ip', 'uid', 'name', 'hostname'], knows: ['ip', 'hostname', 'port'] }
const OCSF_OBJECTS: Readonly<Record<string, OcsfObject>> = {
  metadata: { required: ['product', 'version'], knows: ['log_name', 'event_code', 'profiles'] },
  product: { required: [], oneOf: ['name', 'uid'], knows: ['name', 'vendor_name'] },
  device: { required: ['type_id'], oneOf: ['ip', 'uid', 'name', 'hostname'], knows: ['hostname', 'uid'] },
  actor: {
    required: [],
    oneOf: ['process', 'user', 'session', 'app_name'],
    knows: ['user', 'authorizations', 'app_name'],
  },
  user: { required: [], oneOf: ['account', 'name', 'uid'], knows: ['name'] },
  authorizations: { required: [], knows: ['policy'] },
  policy: { required: [], oneOf: ['name', 'uid'], knows: ['name'] },
  container: { required: [], oneOf: ['uid', 'name'], knows: ['uid', 'name', 'image'] },
  image: { required: ['uid'], knows: ['name'] },
  process: { required: [], oneOf: ['pid', 'uid', 'cpid'], knows: ['uid', 'name', 'cmd_line', 'user'] },
  src_endpoint: ENDPOINT,
  dst_endpoint: ENDPOINT,
  traffic: { required: [], knows: ['bytes_in', 'bytes_out'] },
  file: { required: ['name', 'type_id'], knows: ['path', 'size', 'hashes'] },
  hashes: { required: ['algorithm_id', 'value'], knows: ['algorithm'] },
}

function checkObject(name: string, value: unknown): void {
  for (const one of [value].flat()) {
    if (typeof one !== 'object' || one === null) continue
    const rules = OCSF_OBJECTS[name]
    if (!rules) throw new Error(`OCSF: no object ${name} was looked up`)
    const keys = Object.keys(one)
    for (const key of rules.required) expect({ name, keys }).toEqual({ name, keys: expect.arrayContaining([key]) })
    if (rules.oneOf) expect(keys.filter((key) => rules.oneOf?.includes(key))).not.toEqual([])
    const unknown = keys.filter((key) => !rules.required.includes(key) && !rules.knows.includes(key))
    expect({ name, unknown }).toEqual({ name, unknown: [] })
    for (const [key, inner] of Object.entries(one)) checkObject(key, inner)
  }
}

test('ocsf has what the class of each record requires, and no field that it does not know', async () => {
  const classes = new Set<number>()
  for (const line of await written('ocsf')) {
    const { class_uid: uid, activity_id: activity, type_uid: type, category_uid: category, unmapped, ...rest } = line
    const rules = OCSF_CLASSES[Number(uid)]
    if (!rules) throw new Error(`no class ${uid} was looked up`)
    classes.add(Number(uid))
    for (const key of [...OCSF_BASE, ...rules.required]) expect(line).toHaveProperty(key)
    if (rules.oneOf) expect(Object.keys(line).filter((key) => rules.oneOf?.includes(key))).not.toEqual([])
    expect(category).toBe(rules.category)
    expect(rules.activities).toContain(activity)
    expect(type).toBe(Number(uid) * 100 + Number(activity))
    expect(line.time).toEqual(expect.any(Number))
    expect([0, 1, 2, 3, 4, 5, 6, 99]).toContain(line.severity_id)
    expect(Object.keys(line).filter((key) => !OCSF_KNOWN.includes(key) && !rules.knows.includes(key))).toEqual([])
    expect(unmapped).toMatchObject({ seq: expect.any(Number), action: expect.any(String) })
    for (const [key, value] of Object.entries(rest)) checkObject(key, value)
  }
  expect([...classes].sort()).toEqual([0, 1007, 4001, 4007])
})

test('what each is, in a few words', async () => {
  const lines = await written('ocsf')
  const types = (action: string) =>
    lines.filter(({ unmapped }) => (unmapped as Json).action === action).map(({ type_uid }) => type_uid)
  expect(types('login')).toEqual([400701, 400705, 400799])
  expect(types('session-start')).toEqual([100701])
  expect(types('session-end')).toEqual([100702, 400705, 100702])
  expect(types('forward-start')).toEqual([400101, 400105, 400104])
  expect(types('listener-start')).toEqual([400107])
  const file = lines.find(({ unmapped }) => (unmapped as Json).action === 'file')
  expect(file).toMatchObject({
    type_uid: 400706,
    file: { name: 'data', path: '/srv/data', hashes: [{ algorithm_id: 3, value: 'e'.repeat(64) }] },
    traffic: { bytes_in: 0, bytes_out: 5 },
    actor: { user: { name: 'anna' } },
    src_endpoint: { ip: '192.0.2.7', port: 50_000 },
  })
})

describe.each(['hatchway', 'ecs', 'ocsf'] as const)('a trail in %s', (format) => {
  async function found(query: Partial<AuditQuery>): Promise<string[]> {
    const actions: string[] = []
    for await (const { record } of searchTrails({ file: world.file, ...query })) actions.push(String(record.action))
    return actions
  }

  test('is whole, goes on after a restart, and has a head that is signed', async () => {
    await written(format)
    await written(format)
    expect(await world.verify()).toMatchObject({ problems: [], heads: 2, records: 1 + 2 * (SAMPLES.length + 1) })
  })

  test('a flipped byte, a removed line, a cut end are each found', async () => {
    const anchor = join(world.folder, 'anchor')
    for (const [change, what] of [
      [(lines: string[]) => lines.map((line, at) => (at === 5 ? line.replace('anna', 'bnna') : line)), /was changed/],
      [(lines: string[]) => lines.toSpliced(5, 1), /were removed, moved or added/],
      [(lines: string[]) => lines.slice(0, -3), /its end was cut off/],
    ] as const) {
      await rm(world.file, { force: true })
      world.heads.length = 0
      await written(format)
      await writeFile(anchor, world.heads.map((head) => `${JSON.stringify(head)}\n`).join(''))
      expect((await world.verify([anchor])).problems).toEqual([])
      await world.change(change)
      await rm(`${world.file}.head`)
      expect((await world.verify([anchor])).problems.join('\n')).toMatch(what)
    }
  })

  test('is searched by who, what, where, when and how it ended', async () => {
    await written(format)
    const all = SAMPLES
    expect(await found({})).toHaveLength(all.length)
    expect(await found({ who: 'anna' })).toHaveLength(all.filter(({ identity }) => identity === 'anna').length)
    expect(await found({ action: 'session-*', container: 'web' })).toEqual([
      'session-start',
      'session-end',
      'session-recorded',
      'session-end',
    ])
    expect(await found({ outcome: 'refused' })).toEqual(['policy', 'login', 'session-end', 'forward-start'])
    expect(await found({ since: Date.parse('2026-12-01T10:11:13Z') })).toEqual([])
    expect(await found({ until: Date.parse('2026-12-01T10:11:12Z') })).toEqual([])
  })
})

test('a trail whose format was changed is whole and searched all the same', async () => {
  for (const format of ['hatchway', 'ocsf', 'ecs'] as const) await written(format)
  expect(await world.verify()).toMatchObject({ problems: [], heads: 3 })
  let logins = 0
  for await (const { record } of searchTrails({ file: world.file, action: 'login' })) if (record.identity) logins++
  expect(logins).toBe(6)
})
