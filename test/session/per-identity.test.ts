import { expect, test } from 'vitest'
import { PerIdentity } from '../../src/session/per-identity.ts'
import { SessionRegistry } from '../../src/session/registry.ts'

test('each name has its own places; giving one back makes room, once', () => {
  const places = new PerIdentity()
  const first = places.take('alice', 2)
  expect(places.take('alice', 2)).toBeDefined()
  expect(places.take('alice', 2)).toBeUndefined()
  expect(places.take('bob', 2)).toBeDefined()
  first?.()
  first?.()
  expect(places.take('alice', 2)).toBeDefined()
  expect(places.take('alice', 2)).toBeUndefined()
  expect(places.take('alice', 0)).toBeDefined()
})

test('the registry refuses one session too many in a sentence, and has room when one ended', () => {
  const registry = new SessionRegistry()
  const open = (name: string) =>
    registry.open(
      {
        connectionId: 'c1',
        identity: { name, fingerprint: '' },
        remote: { address: '127.0.0.1', port: 1 },
        container: { id: 'x', name: 'web' },
        user: 'dev',
        start: 'shell',
        tty: true,
      },
      1,
    )
  const first = open('alice')
  expect(() => open('alice')).toThrow('alice has 1 session already, and may have no more')
  open('bob')
  first.end({ code: 0 })
  open('alice')
  expect(registry.size).toBe(2)
})
