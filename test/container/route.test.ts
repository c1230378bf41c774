import { expect, test } from 'vitest'
import { asksForGateway, parseRoute, routeOf } from '../../src/container/route.ts'

test.each([
  ['dev@web', { user: 'dev', container: 'web', bare: false }],
  ['@web', { container: 'web', bare: false }],
  ['web', { container: 'web', bare: true }],
  ['a@b@web', { user: 'a@b', container: 'web', bare: false }],
  ['1000@db.shop', { user: '1000', container: 'db.shop', bare: false }],
  ['DOM\\user@web', { user: 'DOM\\user', container: 'web', bare: false }],
])('%j names a container', (login, route) => {
  expect(parseRoute(login)).toEqual(route)
})

test.each([
  ['dev+web', { user: 'dev', container: 'web', bare: false }],
  ['dev%web', { user: 'dev', container: 'web', bare: false }],
  ['%web', { container: 'web', bare: false }],
  // One of the two divides, the last; the other may be in the user's name.
  ['a%b+web', { user: 'a%b', container: 'web', bare: false }],
  ['a+b%web', { user: 'a+b', container: 'web', bare: false }],
  ['dev+db.shop', { user: 'dev', container: 'db.shop', bare: false }],
  ['dev%00ff12ab34cd', { user: 'dev', container: '00ff12ab34cd', bare: false }],
])('%j names one without an @', (login, route) => {
  expect(parseRoute(login)).toEqual(route)
})

test.each([
  ['dev:skey@web', { user: 'dev', container: 'web', bare: false }],
  ['dev:a:b@c@web', { user: 'dev', container: 'web', bare: false }],
  [':skey@web', { container: 'web', bare: false }],
  ['web:skey', { container: 'web', bare: true }],
  ['dev%web:skey', { user: 'dev', container: 'web', bare: false }],
  ['dev@+node', { user: 'dev', template: { name: 'node', kind: 'fresh' } }],
  ['+node:skey', { template: { name: 'node', kind: 'fresh' } }],
  ['alice=dev:skey@web', { user: 'dev', container: 'web', bare: false }],
  // A folder of a devcontainer.
  ['dev@C:\\work', { user: 'dev', container: 'C:\\work', bare: false }],
  ['dev:skey@/a:b', { user: 'dev', container: '/a:b', bare: false }],
])('%j has a style or a folder: only the style is dropped', (login, route) => {
  expect(parseRoute(login)).toEqual(route)
})

test('with a host of its own, too', () => {
  expect(routeOf({ login: 'a@b:skey', host: 'web' })).toEqual({ user: 'a@b', container: 'web', bare: false })
})

test.each([
  ['+node', { template: { name: 'node', kind: 'fresh' } }],
  ['~node', { template: { name: 'node', kind: 'personal' } }],
  ['@+node', { template: { name: 'node', kind: 'fresh' } }],
  ['dev@+node', { user: 'dev', template: { name: 'node', kind: 'fresh' } }],
  ['dev@~node', { user: 'dev', template: { name: 'node', kind: 'personal' } }],
  ['dev++node', { user: 'dev', template: { name: 'node', kind: 'fresh' } }],
  ['dev%+node', { user: 'dev', template: { name: 'node', kind: 'fresh' } }],
  ['dev+~node', { user: 'dev', template: { name: 'node', kind: 'personal' } }],
  ['%~node', { template: { name: 'node', kind: 'personal' } }],
])('%j names a template', (login, route) => {
  expect(parseRoute(login)).toEqual(route)
})

test.each([
  ['', {}],
  ['@', {}],
  ['dev@', { user: 'dev' }],
])('%j names nothing', (login, route) => {
  expect(parseRoute(login)).toEqual(route)
})

test.each([
  // With an "@", only the last "@" divides.
  ['alice@corp+web', { user: 'alice', container: 'corp+web', bare: false }],
  ['dev@/home/me/c++', { user: 'dev', container: '/home/me/c++', bare: false }],
  ['dev@~/work', { user: 'dev', container: '~/work', bare: false }],
  // What is behind the mark can be no container, or too many marks: the whole is a name, which nothing will have.
  ['dev+', { container: 'dev+', bare: false }],
  ['dev~web', { container: 'dev~web', bare: false }],
  ['dev+++web', { container: 'dev+++web', bare: false }],
  ['dev+~+web', { container: 'dev+~+web', bare: false }],
  ['dev+we b', { container: 'dev+we b', bare: false }],
  ['dev+-oweb', { container: 'dev+-oweb', bare: false }],
  ['dev+web\n', { container: 'dev+web\n', bare: false }],
])('%j is not guessed at', (login, route) => {
  expect(parseRoute(login)).toEqual(route)
})

test.each([
  [
    { login: 'dev', host: 'web' },
    { user: 'dev', container: 'web', bare: false },
  ],
  [
    { login: 'dev', host: 'web.ctr' },
    { user: 'dev', container: 'web', bare: false },
  ],
  [
    { login: 'dev', host: 'web.ctr.ctr' },
    { user: 'dev', container: 'web.ctr', bare: false },
  ],
  [
    { login: 'dev', host: '.ctr' },
    { user: 'dev', container: '.ctr', bare: false },
  ],
  [
    { login: '@', host: 'web' },
    { container: 'web', bare: false },
  ],
  [
    { login: 'dev', host: '+node' },
    { user: 'dev', template: { name: 'node', kind: 'fresh' } },
  ],
  // Where the host says the container, the user name is only a user.
  [
    { login: 'dev@db', host: 'web' },
    { user: 'dev@db', container: 'web', bare: false },
  ],
  [
    { login: 'a+b', host: 'web' },
    { user: 'a+b', container: 'web', bare: false },
  ],
  [{ login: 'dev@web.ctr' }, { user: 'dev', container: 'web.ctr', bare: false }],
])('%j, with a host named before', (login, route) => {
  expect(routeOf(login, ['.ctr'])).toEqual(route)
})

test.each([
  ['alice', false, true],
  ['CORP\\alice', false, true],
  ['web', true, false],
  ['@', false, true],
  ['dev@', false, true],
  ['@web', false, false],
  ['dev+web', false, false],
  ['dev+', false, false],
  ['+node', false, false],
])('%j, found %j, asks for the gateway itself: %j', (login, found, gateway) => {
  expect(asksForGateway(parseRoute(login), found)).toBe(gateway)
})

test.each([
  ['alice=dev@web', { user: 'dev', container: 'web', bare: false }],
  ['alice=dev+web', { user: 'dev', container: 'web', bare: false }],
  ['alice=+node', { template: { name: 'node', kind: 'fresh' } }],
  ['alice@corp=web', { container: 'web', bare: true }],
  ['=a=b@web', { user: 'a=b', container: 'web', bare: false }],
  ['dev@/home/x/a=b', { user: 'dev', container: '/home/x/a=b', bare: false }],
  ['alice=', {}],
])('%j: who asks is no part of what is asked for', (login, route) => {
  expect(parseRoute(login)).toEqual(route)
})
