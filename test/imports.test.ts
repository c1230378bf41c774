/** Imports point one way: main → cli → app → handler → {target, guest, session, ssh, auth} → engine → errors, events. */
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { expect, test } from 'vitest'

const src = path.resolve(import.meta.dirname, '../src')

/** How everything waits; it imports nothing itself, and everybody may import it. */
const KIT = 'lifetime'

/** What a part of src/ may import besides itself and the kit; a file at the top counts as a part. */
const ALLOWED: Record<string, readonly string[]> = {
  'errors.ts': [],
  'address.ts': [],
  'byte-text.ts': [],
  'duration.ts': [],
  'edit-distance.ts': [],
  'idle-timer.ts': [],
  'printable.ts': [],
  'login-name.ts': [],
  'tar.ts': [],
  'package-root.ts': [],
  'instance.ts': ['whole-file.ts'],
  'glob.ts': [],
  'whole-file.ts': [],
  'lent.ts': [],
  'relay.ts': [],
  'end-stream.ts': ['relay.ts'],
  'slab-output.ts': [],
  'address-list.ts': ['address.ts', 'glob.ts'],
  'events.ts': ['session', 'sftp', 'ssh'],
  'log-sink.ts': ['errors.ts'],
  'log.ts': ['errors.ts', 'config', 'log-quota.ts', 'log-sink.ts', 'printable.ts'],
  'log-quota.ts': ['lifetime'],
  'log-line.ts': ['ssh'],
  'log-drops.ts': ['events.ts', 'log-line.ts'],
  'log-events.ts': ['errors.ts', 'events.ts', 'log.ts', 'log-drops.ts', 'log-line.ts', 'ssh'],
  'control.ts': ['errors.ts', 'session'],
  engine: ['errors.ts', 'printable.ts', 'slab-output.ts', 'tar.ts'],
  ssh: [
    'errors.ts',
    'address.ts',
    'address-list.ts',
    'byte-text.ts',
    'duration.ts',
    'end-stream.ts',
    'events.ts',
    'glob.ts',
    'idle-timer.ts',
    'lent.ts',
    'printable.ts',
    'relay.ts',
    'slab-output.ts',
  ],
  listen: ['errors.ts', 'address.ts', 'ssh'],
  config: ['errors.ts', 'address.ts', 'edit-distance.ts', 'login-name.ts', 'package-root.ts'],
  auth: [
    'errors.ts',
    'address.ts',
    'address-list.ts',
    'glob.ts',
    'config',
    'login-name.ts',
    'package-root.ts',
    'printable.ts',
    'ssh',
    'whole-file.ts',
  ],
  policy: [
    'errors.ts',
    'address.ts',
    'byte-text.ts',
    'glob.ts',
    'printable.ts',
    'auth',
    'config',
    'engine',
    'ssh',
    'target',
  ],
  session: ['errors.ts', 'duration.ts', 'engine', 'idle-timer.ts', 'ssh'],
  guest: [
    'errors.ts',
    'byte-text.ts',
    'instance.ts',
    'lent.ts',
    'package-root.ts',
    'printable.ts',
    'relay.ts',
    'slab-output.ts',
    'engine',
    'tar.ts',
    'whole-file.ts',
  ],
  target: [
    'errors.ts',
    'byte-text.ts',
    'duration.ts',
    'instance.ts',
    'edit-distance.ts',
    'config',
    'engine',
    'guest',
    'login-name.ts',
    'printable.ts',
    'sftp',
    'ssh',
    'tar.ts',
  ],
  sftp: ['errors.ts', 'engine'],
  'pump.ts': ['engine', 'guest', 'ssh'],
  forward: [
    'address.ts',
    'errors.ts',
    'end-stream.ts',
    'printable.ts',
    'relay.ts',
    'engine',
    'guest',
    'policy',
    'ssh',
    'target',
  ],
  'people.ts': ['auth', 'config', 'login-name.ts', 'ssh', 'target'],
  picker: ['errors.ts', 'printable.ts', 'engine', 'ssh', 'target'],
  'destination.ts': ['errors.ts', 'engine', 'picker', 'policy', 'target'],
  'handler.ts': [
    'errors.ts',
    'auth',
    'destination.ts',
    'engine',
    'forward',
    'guest',
    'picker',
    'policy',
    'printable.ts',
    'pump.ts',
    'session',
    'sftp',
    'ssh',
    'target',
  ],
  'app.ts': ['*'],
  cli: ['*'],
  'main.ts': ['*'],
}
const OUTER = ['app.ts', 'cli', 'main.ts']

function sources(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .map((file) => path.join(folder, file))
}

function partOf(file: string): string {
  return path.relative(src, file).split(path.sep)[0] ?? ''
}

function imports(file: string): string[] {
  const text = readFileSync(file, 'utf8')
  return [...text.matchAll(/(?:from|import)\s*\(?\s*'([^']+)'/g)].map((match) => match[1] ?? '')
}

test('every import inside src/ points down', () => {
  const wrong: string[] = []
  for (const file of sources(src)) {
    const part = partOf(file)
    const allowed = ALLOWED[part] ?? []
    for (const specifier of imports(file).filter((name) => name.startsWith('.'))) {
      const target = partOf(path.resolve(path.dirname(file), specifier))
      if (target === part || target === KIT || allowed.includes(target)) continue
      if (allowed.includes('*') && (OUTER.includes(part) || !OUTER.includes(target))) continue
      wrong.push(`${path.relative(src, file)} imports ${specifier}`)
    }
  }
  expect(wrong).toEqual([])
})

test('only one module loads ssh2, only app.ts and choose.ts name an engine’s driver', () => {
  const loads: string[] = []
  const drivers: string[] = []
  for (const file of sources(src)) {
    const text = readFileSync(file, 'utf8')
    const name = path.relative(src, file)
    if (/(?:from|require\(|import\() ?'ssh2(?:\/|')/.test(text.replaceAll(/import type[^\n]*/g, ''))) loads.push(name)
    if (!name.startsWith('engine/') && imports(file).some((specifier) => /engine\/(docker|cli)/.test(specifier)))
      drivers.push(name)
  }
  expect(loads.filter((name) => !name.startsWith('ssh/'))).toEqual([])
  expect(drivers.filter((name) => name !== 'app.ts' && !name.startsWith('guest/deliver'))).toEqual([])
})
