import { expect, test } from 'vitest'
import { parseRoute } from '../../src/target/route.ts'

test.each([
  ['dev@web', { user: 'dev', container: 'web' }],
  ['web', { container: 'web' }],
  ['@web', { container: 'web' }],
  ['a@b@web', { user: 'a@b', container: 'web' }],
  ['1000@db.shop', { user: '1000', container: 'db.shop' }],
  ['DOM\\user@web', { user: 'DOM\\user', container: 'web' }],
  ['dev@', undefined],
  ['', undefined],
])('%j is %j', (login, route) => {
  expect(parseRoute(login)).toEqual(route)
})
