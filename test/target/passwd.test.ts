import { expect, test } from 'vitest'
import { findByName, findByUid, parseId } from '../../src/target/passwd.ts'

const passwd = `root:x:0:0:root:/root:/bin/bash
# comment
dev:x:1000:1000:Dev Loper,Room 1,,:/home/dev:/bin/zsh
nohome:x:1001:1001:::
broken:x:abc:1001::/:/bin/sh
short:x:1002
noid:x::1::/:/bin/sh
  spaced:x:1003:1003::/s:/bin/sh
+@ldap::::::
big:x:4294967296:0::/:/bin/sh
two:x:1100:1:first:/one:/bin/sh
two:x:1101:1:second:/two:/bin/sh
tail:x:1200:1200::/t:/bin/sh`

test('a whole entry is read, the full name up to the first comma', () => {
  expect(findByName(passwd, 'dev')).toEqual({
    name: 'dev',
    uid: 1000,
    gid: 1000,
    home: '/home/dev',
    shell: '/bin/zsh',
  })
})

test('the last line counts without a newline, and white space around a line does not', () => {
  expect(findByName(passwd, 'tail')).toMatchObject({ uid: 1200 })
  expect(findByName(passwd, 'spaced')).toMatchObject({ uid: 1003 })
})

test.each(['broken', 'short', 'noid', '+@ldap', 'big'])('%s is refused, not run as uid 0', (name) => {
  expect(findByName(passwd, name)).toBe('broken')
})

test('a broken line before a good one of the same name decides: the engine would take it', () => {
  expect(findByName('dev:x:zero:0::/:/bin/sh\ndev:x:1000:1000::/:/bin/sh\n', 'dev')).toBe('broken')
  expect(findByName('dev\ndev:x:1000:1000::/:/bin/sh\n', 'dev')).toBe('broken')
})

test('names match exactly', () => {
  expect(findByName(passwd, 'de')).toBeUndefined()
  expect(findByName(passwd, 'dev:x')).toBeUndefined()
  expect(findByName(passwd, 'Dev')).toBeUndefined()
})

test('the first of two entries wins', () => {
  expect(findByName(passwd, 'two')).toMatchObject({ uid: 1100 })
})

test('a uid finds its entry, comments and broken lines skipped', () => {
  expect(findByUid(passwd, 1000)).toMatchObject({ name: 'dev' })
  expect(findByUid(passwd, 7)).toBeUndefined()
})

test.each([
  ['0', 0],
  ['2147483647', 2147483647],
  ['2147483648', undefined],
  ['-1', undefined],
  ['1e3', undefined],
  ['', undefined],
])('id %j is %j', (text, id) => {
  expect(parseId(text)).toBe(id)
})

test('10,000 lines are read in no time', () => {
  const large = Array.from({ length: 10_000 }, (_, index) => `u${index}:x:${index}:${index}::/h/${index}:/bin/sh`).join(
    '\n',
  )
  const started = Date.now()
  for (let round = 0; round < 10; round++) expect(findByName(large, 'u9999')).toMatchObject({ uid: 9999 })
  expect(Date.now() - started).toBeLessThan(1000)
})
