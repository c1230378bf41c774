/** AuthenticationMethods, as sshd_config(5) describes them: what may come next, and when it is enough. */
import { expect, test } from 'vitest'
import { afterSuccess, devicesOf, methodNames } from '../../src/ssh/auth-methods.ts'

const lists = (text: string) => text.split(' ').map((list) => list.split(','))

test.each([
  ['publickey', 'publickey'],
  ['publickey,password publickey,keyboard-interactive', 'publickey'],
  ['publickey password', 'publickey,password'],
  ['keyboard-interactive:totp,publickey keyboard-interactive', 'keyboard-interactive'],
])('%s: a client is told %s', (text, names) => {
  expect(methodNames(lists(text))).toBe(names)
})

test('devices are those that may come now', () => {
  const all = lists('keyboard-interactive:password,publickey keyboard-interactive publickey,keyboard-interactive:totp')
  expect(devicesOf(all, 'keyboard-interactive')).toEqual(['password', ''])
  expect(devicesOf(all, 'publickey')).toEqual([''])
  expect(devicesOf(all, 'password')).toEqual([])
  expect(devicesOf(all, '__proto__')).toEqual([])
})

test.each([
  ['publickey', ['publickey'], ''],
  ['publickey,password', ['publickey'], 'password'],
  ['publickey,password', ['publickey', 'password'], ''],
  ['publickey,publickey', ['publickey'], 'publickey'],
  // Every list that begins so goes on; the others stay (auth2_update_methods_lists).
  ['publickey,password password,publickey', ['publickey'], 'password|password,publickey'],
  ['publickey,password keyboard-interactive', ['publickey'], 'password|keyboard-interactive'],
  ['publickey,keyboard-interactive:totp', ['publickey'], 'keyboard-interactive:totp'],
  ['publickey,keyboard-interactive:totp', ['publickey', 'keyboard-interactive:totp'], ''],
])('%s after %s leaves %j', (text, done, left) => {
  const result = done.reduce<readonly (readonly string[])[] | undefined>((before, entry) => {
    const [method = '', device] = entry.split(':')
    return before && afterSuccess(before, method, device)
  }, lists(text))
  const open = result?.map((list) => list.join(','))
  expect(left === '' ? open?.includes('') : open?.join('|')).toBe(left === '' ? true : left)
})

test.each([
  ['publickey,password', 'password', undefined],
  ['keyboard-interactive:totp', 'keyboard-interactive', 'password'],
  ['keyboard-interactive', 'keyboard-interactive', 'totp'],
  ['keyboard-interactive:totp', 'keyboard-interactive', undefined],
])('%s does not begin with %s:%s', (text, method, device) => {
  expect(afterSuccess(lists(text), method, device)).toBeUndefined()
})
