import { expect, test } from 'vitest'
import { bytesOf } from '../../src/bytes/byte-text.ts'
import { findByName, findByUid, findGroup, groupsOf, parseNumericId } from '../../src/container/passwd.ts'

const passwd = Buffer.from(`root:x:0:0:root:/root:/bin/bash
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
tail:x:1200:1200::/t:/bin/sh`)

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
  expect(findByName(Buffer.from('dev:x:zero:0::/:/bin/sh\ndev:x:1000:1000::/:/bin/sh\n'), 'dev')).toBe('broken')
  expect(findByName(Buffer.from('dev\ndev:x:1000:1000::/:/bin/sh\n'), 'dev')).toBe('broken')
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
  expect(parseNumericId(text)).toBe(id)
})

const LARGE = Array.from({ length: 10_000 }, (_, index) => `u${index}:x:${index}:${index}::/h/${index}:/bin/sh`)

const MAX_BYTES = 4 * 1024 * 1024
const QUICK_US = 250_000

test('10,000 lines are read in no time', () => {
  const large = Buffer.from(LARGE.join('\n'))
  const before = process.cpuUsage()
  for (let round = 0; round < 10; round++) expect(findByName(large, 'u9999')).toMatchObject({ uid: 9999 })
  expect(process.cpuUsage(before).user).toBeLessThan(1000_000)
})

test.each([
  ['colons', ':'],
  ['newlines', '\n'],
  ['blanks', ' '],
  ['carriage returns', '\r'],
  ['one-letter lines', 'a\n'],
  ['hollow entries', 'a::1:1:::\n'],
  ['beginnings', 'a:dev'],
  ['names that end with it', 'adev:\n'],
  ['names that begin with it', 'devel x\n'],
  ['blanks and the name', 'x  dev  '],
])('4 MiB of %s hold nobody up', (_, one) => {
  const hostile = Buffer.alloc(MAX_BYTES, one)
  const before = process.cpuUsage()
  expect(findByName(hostile, 'dev')).toBeUndefined()
  expect(findByUid(hostile, 1000)).toBeUndefined()
  expect(process.cpuUsage(before).user).toBeLessThan(QUICK_US)
})

test.each([
  ['a name that is none', '+:b:1000:0:c:d:e\n'],
  ['a gid too large', 'a:b:1000:9999999999:c:d:e\n'],
])('4 MiB of lines with the uid and %s are refused, and hold nobody up', (_, one) => {
  const hostile = Buffer.alloc(MAX_BYTES, one)
  const before = process.cpuUsage()
  expect(findByUid(hostile, 1000)).toBe('broken')
  expect(process.cpuUsage(before).user).toBeLessThan(QUICK_US)
})

test('some lines with the uid that are no entries are passed over', () => {
  const some = Buffer.from(`${'#old:x:1000:1000:::\n'.repeat(900)}dev:x:1000:1000:::\n`)
  expect(findByUid(some, 1000)).toMatchObject({ name: 'dev' })
})

test.each(['a.c', 'a*', '[a]', '$x', 'a|b', 'x\\'])('the name %s is no pattern', (name) => {
  expect(findByName(Buffer.from(`abc:x:1:1:::\na:x:1:1:::\n:x:1:1:::\n ${name}:x:2:2:::\n`), name)).toMatchObject({
    uid: 2,
  })
})

test('a name longer than any is nobody’s', () => {
  expect(findByName(passwd, 'n'.repeat(200_000))).toBeUndefined()
})

test('of many users whose names begin alike the last is found', () => {
  const alike = Array.from({ length: 40_000 }, (_, index) => `user-${index}:x:1:1::/home/user:/bin/sh\n`).join('')
  expect(findByName(Buffer.from(`${alike}user:x:2:2:::\n`), 'user')).toMatchObject({ uid: 2 })
})

test.each([
  ['home', 'dev:x:1000:1000::', ':/bin/sh\n'],
  ['shell', 'dev:x:1000:1000::/home/dev:', '\n'],
])('a %s of 4 MiB that are no UTF-8 is no entry, and holds nobody up', (_, before, after) => {
  const hostile = Buffer.concat([
    Buffer.from(before),
    Buffer.alloc(MAX_BYTES - 100, '\xc3\xa9\xff', 'latin1'),
    Buffer.from(after),
  ])
  const since = process.cpuUsage()
  expect(findByName(hostile, 'dev')).toBe('broken')
  expect(findByUid(hostile, 1000)).toBeUndefined()
  expect(process.cpuUsage(since).user).toBeLessThan(QUICK_US)
})

test('a line is what is between newlines, whatever else is in it', () => {
  const odd = Buffer.from('x\rdev:x:0:0::/:/bin/sh\n\rdev:x:0001000:1000:a\rb:/home/dev:/bin/sh\r\n')
  expect(findByName(odd, 'dev')).toMatchObject({ uid: 1000, shell: '/bin/sh' })
  expect(findByUid(odd, 1000)).toMatchObject({ name: 'dev' })
  expect(findByUid(odd, 0)).toMatchObject({ name: 'x\rdev' })
})

test('bytes that are no UTF-8 come through, also beside a name of two bytes a letter', () => {
  const line = Buffer.from('jos\xe9:x:1:1:Jos\xe9:/home/jos\xe9:/bin/sh\ná:x:2:2::/\xa0:/bin/\xc3\xa0', 'latin1')
  const found = (uid: number) => {
    const entry = findByUid(line, uid)
    return entry === 'broken' ? undefined : entry
  }
  const jose = found(1)
  expect([bytesOf(jose?.name ?? ''), bytesOf(jose?.home ?? '')].map((bytes) => bytes.toString('latin1'))).toEqual([
    'jos\xe9',
    '/home/jos\xe9',
  ])
  expect(findByName(line, jose?.name ?? '')).toEqual(jose)
  const other = found(2)
  expect([bytesOf(other?.home ?? ''), other?.shell]).toEqual([Buffer.from('/\xa0', 'latin1'), '/bin/à'])
})

test('a group is its number; what is broken is not 0', () => {
  const group = Buffer.from('root:x:0:\nusers:x:100:dev,app\nbad:x::\nshort\nfew:x:7\n')
  expect(['users', 'root', 'nobody', 'bad', 'short', 'few'].map((name) => findGroup(group, name))).toEqual([
    100,
    0,
    undefined,
    'broken',
    'broken',
    'broken',
  ])
})

test('a user’s groups are those that list them, whatever else is in the lines', () => {
  const file = Buffer.from(
    'a:x:1:dev\nb:x:2:x,dev,y\nc:x:3:devs\n d:x:4:x,dev \ne:x:dev:dev\n+f:x:6:dev\ng:x:7:dev:dev\nh:x:1:dev\r\n',
  )
  expect(groupsOf(file, 'dev')).toEqual([1, 2, 4])
  for (const name of ['', 'x,dev', 'dev:dev', 'de', '.*']) expect(groupsOf(file, name)).toEqual([])
  expect(groupsOf(Buffer.concat([Buffer.from('n:x:9:b'), Buffer.from([0xff]), Buffer.from('d\n')]), 'bd')).toEqual([])
})

test('groups with a million members are read in no time', () => {
  const members = Array.from({ length: 400_000 }, (_, n) => `dev${n}`).join(',')
  const file = Buffer.from(`big:x:5:${members}\nlast:x:6:${members},dev\n`)
  const began = performance.now()
  expect(groupsOf(file, 'dev')).toEqual([6])
  expect(performance.now() - began).toBeLessThan(2000)
})
