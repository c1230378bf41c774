import { expect, test } from 'vitest'
import { toMap } from '../../src/container/env-map.ts'
import { remoteEnv, sessionEnvironment } from '../../src/container/environment.ts'

const info = {
  name: 'dev',
  uid: 1000,
  gid: 1000,
  home: '/home/dev',
  shell: '/bin/bash',
  engineUser: 'dev',
  entry: true,
  known: true,
}
const facts = {
  info,
  containerEnv: ['PATH=/opt/bin:/bin', 'HOME=/somewhere'],
  labels: {},
  configured: {},
  client: new Map<string, string>(),
  remote: { address: '10.0.0.9', port: 5000 },
  local: { address: '10.0.0.1', port: 2222 },
}

test('the variables sshd sets, with the true addresses', () => {
  const env = toMap(sessionEnvironment({ ...facts, term: 'vt220' }))
  expect(Object.fromEntries(env)).toEqual({
    USER: 'dev',
    LOGNAME: 'dev',
    HOME: '/home/dev',
    SHELL: '/bin/bash',
    SSH_CLIENT: '10.0.0.9 5000 2222',
    SSH_CONNECTION: '10.0.0.9 5000 10.0.0.1 2222',
    TERM: 'vt220',
  })
})

test('a TERM that the client did not name is not there, unless somebody else sets one', () => {
  const term = (more: object) => sessionEnvironment({ ...facts, ...more }).filter((entry) => /^TERM\b/.test(entry))
  expect(term({})).toEqual([])
  expect(term({ term: '' })).toEqual(['TERM'])
  expect(term({ term: '', containerEnv: ['TERM=of-the-image'] })).toEqual([])
  expect(term({ term: '', configured: { TERM: 'dumb' } })).toEqual(['TERM=dumb'])
  expect(term({ term: '', client: new Map([['TERM', 'sent']]) })).toEqual(['TERM=sent'])
})

test('PATH is the container’s own; where it has none, sshd’s', () => {
  expect(toMap(sessionEnvironment({ ...facts, containerEnv: [] })).get('PATH')).toContain('/usr/bin')
})

test('who one is cannot be sent by the client', () => {
  const client = new Map([
    ['HOME', '/evil'],
    ['LANG', 'C.UTF-8'],
  ])
  const env = toMap(sessionEnvironment({ ...facts, client }))
  expect(env.get('HOME')).toBe('/home/dev')
  expect(env.get('LANG')).toBe('C.UTF-8')
})

test('later wins: client, account, key, configuration', () => {
  const client = new Map([
    ['A', 'client'],
    ['B', 'client'],
    ['C', 'client'],
  ])
  const key = ['B=key', 'C=key', 'HOME=/key']
  const env = toMap(
    sessionEnvironment({ ...facts, client, key, configured: { C: 'configured', TERM: 'dumb' }, term: 'x' }),
  )
  expect(Object.fromEntries(env)).toMatchObject({ A: 'client', B: 'key', C: 'configured', HOME: '/key', TERM: 'dumb' })
})

test('the command that a forced one stands in for', () => {
  const env = toMap(sessionEnvironment({ ...facts, original: 'rsync --server x=1' }))
  expect(env.get('SSH_ORIGINAL_COMMAND')).toBe('rsync --server x=1')
  expect(toMap(sessionEnvironment(facts)).has('SSH_ORIGINAL_COMMAND')).toBe(false)
})

test('a value with a NUL is dropped', () => {
  const client = new Map([['LC_X', 'a\0b']])
  expect(toMap(sessionEnvironment({ ...facts, client })).has('LC_X')).toBe(false)
})

/** A reference as devcontainer.json writes it, which would look like a template here. */
const containerEnv = (name: string) => `$\{containerEnv:${name}}`

test('remoteEnv: layers in order, null empties, containerEnv expands with its default', () => {
  const label = JSON.stringify([
    { remoteEnv: { A: '1', B: 'x', 'bad name': 'y' } },
    { id: 'feature' },
    { remoteEnv: { A: `${containerEnv('PATH')}:/more`, B: null, C: containerEnv('NONE:fallback') } },
  ])
  expect(Object.fromEntries(remoteEnv(label, new Map([['PATH', '/p']])))).toEqual({
    A: '/p:/more',
    B: '',
    C: 'fallback',
  })
})

test('remoteEnv: a single object works, and what is no such JSON sets nothing', () => {
  expect(remoteEnv('{"remoteEnv":{"A":"1"}}', new Map()).get('A')).toBe('1')
  for (const label of ['', 'no json', '[1,2]', '{"remoteEnv":[]}', '{"remoteEnv":{"A":7}}', 'null']) {
    expect(remoteEnv(label, new Map()).size).toBe(0)
  }
})

test.each([
  ['references without an end', '${containerEnv:'.repeat(9_000)],
  ['names without an end', `\${containerEnv:${'a:'.repeat(66_000)}`],
  ['references to much', `\${containerEnv:LONG}`.repeat(6_000)],
])('remoteEnv: %s hold nobody up', (_, value) => {
  const label = JSON.stringify([{ remoteEnv: { A: value, GOOD: '1' } }])
  const before = process.cpuUsage()
  const env = remoteEnv(label, new Map([['LONG', 'x'.repeat(100_000)]]))
  expect(process.cpuUsage(before).user).toBeLessThan(1000_000)
  expect(env.get('GOOD')).toBe('1')
  expect(env.has('A')).toBe(false)
})

test.each([
  ['layers that are none', `[${'1,'.repeat(120_000)}{"remoteEnv":{"GOOD":"1"}}]`],
  ['empty layers', `[${'{},'.repeat(80_000)}{"remoteEnv":{"GOOD":"1"}}]`],
  ['layers in layers', `[${'['.repeat(1000)}${']'.repeat(1000)},{"remoteEnv":{"GOOD":"1"}}]`],
  [
    'variables that are none',
    `{"remoteEnv":{${[...Array(20_000).keys()].map((i) => `"V${i}":1,`).join('')}"GOOD":"1"}}`,
  ],
  ['many empty remoteEnv', `[${'{"remoteEnv":{}},'.repeat(14_000)}{"remoteEnv":{"GOOD":"1"}}]`],
])('remoteEnv: %s hold nobody up, and the good one holds', (_, label) => {
  expect(label.length).toBeLessThan(256 * 1024)
  const before = process.cpuUsage()
  expect([...remoteEnv(label, new Map())]).toEqual([['GOOD', '1']])
  expect(process.cpuUsage(before).user).toBeLessThan(100_000)
})

test('remoteEnv: many variables that are much together are not all set', () => {
  const many = Object.fromEntries(Array.from({ length: 1000 }, (_, i) => [`V${i}`, containerEnv('LONG')]))
  const env = remoteEnv(JSON.stringify({ remoteEnv: many }), new Map([['LONG', 'x'.repeat(100_000)]]))
  expect(env.size).toBe(10)
})

test('remoteEnv: of a label without measure nothing is read', () => {
  const many = Object.fromEntries(Array.from({ length: 30_000 }, (_, i) => [`V${i}`, '']))
  const label = JSON.stringify({ remoteEnv: many })
  expect(label.length).toBeGreaterThan(256 * 1024)
  expect(remoteEnv(label, new Map()).size).toBe(0)
})

test('remoteEnv: what is no reference stays as it is', () => {
  const value = `${containerEnv('')} \${containerEnv:A ${containerEnv('A:b:c')}`
  expect(remoteEnv(JSON.stringify({ remoteEnv: { X: value } }), new Map()).get('X')).toBe(
    `${containerEnv('')} \${containerEnv:A b:c`,
  )
})
