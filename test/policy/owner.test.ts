import { expect, test } from 'vitest'
import { ownerOf } from '../../src/policy/owner.ts'

const key = { source: '/etc/keys:3', fingerprint: 'SHA256:one', name: 'root@localhost' }

test('an owner is a key, a configured user with any key, or a key id of an authority', () => {
  expect(ownerOf(key)).toMatch(/^[0-9a-f]{32}$/)
  expect(ownerOf({ ...key, source: '/etc/keys:9', name: 'new comment' })).toBe(ownerOf(key))
  const user = { ...key, source: 'user alice', name: 'alice' }
  expect(ownerOf({ ...user, fingerprint: 'SHA256:two' })).toBe(ownerOf(user))
  const certified = { source: 'ca SHA256:ca', fingerprint: 'SHA256:today', name: 'alice' }
  expect(ownerOf({ ...certified, fingerprint: 'SHA256:tomorrow' })).toBe(ownerOf(certified))
})

test('the comment of a key makes nobody an owner', () => {
  expect(ownerOf({ ...key, fingerprint: 'SHA256:two' })).not.toBe(ownerOf(key))
  const names = [
    { source: 'user alice', fingerprint: '', name: 'alice' },
    { source: 'ca SHA256:ca', fingerprint: '', name: 'alice' },
    { source: 'ca SHA256:other', fingerprint: '', name: 'alice' },
    { source: 'ca SHA256:ca', fingerprint: '', name: 'bob' },
  ]
  expect(new Set(names.map(ownerOf)).size).toBe(4)
})
