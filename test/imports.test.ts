/**
 * Imports point down: main → cli → app → session → {container, forward, guest, picker, policy} → {engine, ssh} → base. A type
 * counts as an import. An edge that is allowed and used by nobody fails, too, so that the table stays a drawing of the house.
 */
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { expect, test } from 'vitest'

const src = path.resolve(import.meta.dirname, '../src')

/** What a room of src/ imports besides itself; main.ts and app.ts are rooms of one file. Every room may use `base` and `lifetime`. */
const ROOMS: Record<string, readonly string[]> = {
  base: [],
  lifetime: [],
  bytes: [],
  net: [],
  ssh: ['bytes', 'net'],
  config: ['net'],
  engine: ['bytes'],
  auth: ['config', 'net', 'ssh'],
  sftp: ['engine'],
  guest: ['bytes', 'engine'],
  container: ['bytes', 'config', 'engine', 'guest', 'sftp', 'ssh'],
  picker: ['container', 'engine', 'ssh'],
  policy: ['auth', 'bytes', 'config', 'container', 'engine', 'net', 'ssh'],
  forward: ['bytes', 'container', 'engine', 'guest', 'net', 'policy', 'ssh'],
  session: ['auth', 'bytes', 'config', 'container', 'engine', 'forward', 'guest', 'picker', 'policy', 'sftp', 'ssh'],
  evidence: ['auth', 'config', 'observe', 'session', 'ssh'],
  observe: ['config', 'container', 'engine', 'forward', 'net', 'policy', 'session', 'sftp', 'ssh'],
  process: [],
  control: ['session'],
  admin: ['net', 'session'],
  app: ['admin', 'auth', 'bytes', 'config', 'engine', 'evidence', 'guest', 'observe', 'process', 'session', 'ssh'],
  'app.ts': [
    'admin',
    'app',
    'auth',
    'config',
    'container',
    'engine',
    'evidence',
    'guest',
    'observe',
    'process',
    'session',
    'ssh',
  ],
  cli: [
    'app.ts',
    'auth',
    'config',
    'container',
    'control',
    'engine',
    'evidence',
    'forward',
    'guest',
    'net',
    'observe',
    'policy',
    'process',
    'session',
    'ssh',
  ],
  'main.ts': ['cli', 'config', 'control'],
}
const EVERYBODYS = ['base', 'lifetime']

interface Import {
  readonly file: string
  readonly specifier: string
  readonly from: string
  readonly to: string
}

function sources(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .map((file) => path.join(folder, file))
}

function roomOf(file: string): string {
  return path.relative(src, file).split(path.sep)[0] ?? ''
}

function specifiers(file: string): string[] {
  const text = readFileSync(file, 'utf8')
  return [...text.matchAll(/(?:from|import)\s*\(?\s*'([^']+)'/g)].map((match) => match[1] ?? '')
}

function importsBetweenRooms(): Import[] {
  return sources(src).flatMap((file) =>
    specifiers(file)
      .filter((specifier) => specifier.startsWith('.'))
      .map((specifier) => ({
        file: path.relative(src, file),
        specifier,
        from: roomOf(file),
        to: roomOf(path.resolve(path.dirname(file), specifier)),
      }))
      .filter(({ from, to }) => from !== to),
  )
}

test('every import inside src/ points down', () => {
  const wrong = importsBetweenRooms().filter(
    ({ from, to }) => !ROOMS[from]?.includes(to) && !(EVERYBODYS.includes(to) && !EVERYBODYS.includes(from)),
  )
  expect(wrong.map(({ file, specifier }) => `${file} imports ${specifier}`)).toEqual([])
})

test('every edge of the table is used', () => {
  const used = new Set(importsBetweenRooms().map(({ from, to }) => `${from} → ${to}`))
  const edges = Object.entries(ROOMS).flatMap(([from, all]) => all.map((to) => `${from} → ${to}`))
  expect(edges.filter((edge) => !used.has(edge))).toEqual([])
})

test('the table has no way back', () => {
  const below = (room: string, seen: ReadonlySet<string>): string[] =>
    (ROOMS[room] ?? []).flatMap((next) =>
      seen.has(next) ? [`${[...seen, next].join(' → ')}`] : below(next, new Set([...seen, next])),
    )
  expect(Object.keys(ROOMS).flatMap((room) => below(room, new Set([room])))).toEqual([])
})

test('only main.ts and app.ts lie loose in src/', () => {
  expect(readdirSync(src).filter((name) => name.endsWith('.ts'))).toEqual(['app.ts', 'main.ts'])
})

test('only one module loads ssh2, only the choice of an engine names a driver', () => {
  const loads: string[] = []
  const drivers: string[] = []
  for (const file of sources(src)) {
    const text = readFileSync(file, 'utf8')
    const name = path.relative(src, file)
    if (/(?:from|require\(|import\() ?'ssh2(?:\/|')/.test(text.replaceAll(/import type[^\n]*/g, ''))) loads.push(name)
    if (
      !/^engine\/(docker|cli|containerd|kubernetes)\//.test(name) &&
      specifiers(file).some(
        (one) => /(engine|^\.)\/(docker|cli|containerd|kubernetes)\/[a-z-]+\.ts$/.test(one) && name !== 'main.ts',
      )
    )
      drivers.push(name)
  }
  expect(loads.filter((name) => !name.startsWith('ssh/'))).toEqual([])
  expect(drivers).toEqual(['engine/choose.ts', 'engine/kinds.ts'])
})

/** What is read before a gateway listens, and by commands that end soon. */
const LOADS_AT_ONCE = ['observe/log.ts']

test('what a gateway loads late is a part that it loads as a whole after its start', () => {
  const loose = sources(src).filter((file) => {
    const name = path.relative(src, file)
    const text = readFileSync(file, 'utf8').replaceAll(
      /typeof import\(|part\(\(\) =>\s*(?:Promise\.all\(\[[^\]]*\]|import\()/g,
      '',
    )
    return !name.startsWith('cli/') && !LOADS_AT_ONCE.includes(name) && text.includes("import('")
  })
  expect(loose.map((file) => path.relative(src, file))).toEqual(['main.ts'])
})

test('the drivers of engines do not import each other', () => {
  const across = sources(src).filter((file) => {
    const [, driver] = /^engine\/(docker|cli|containerd|kubernetes)\//.exec(path.relative(src, file)) ?? []
    return (
      driver !== undefined && specifiers(file).some((one) => /^\.\.\/(docker|cli|containerd|kubernetes)\//.test(one))
    )
  })
  expect(across.map((file) => path.relative(src, file))).toEqual([])
})
