import { expect, test } from 'vitest'
import { guestUserOf, resolveUser } from '../../src/container/envinfo.ts'

const passwd = Buffer.from(
  'root:x:0:0:root:/root:/bin/bash\ndev:x:1000:1000:Dev,,,:/home/dev:/bin/zsh\nbare:x:1001:1001:::\n',
)
const group = Buffer.from('root:x:0:\nusers:x:100:dev\nbad:x\n')
const web = { name: 'web', user: '', env: ['PATH=/bin'] }
const ranAs = (user: string, ...env: string[]) => ({ name: 'web', user, env })

test('no user named: the container’s own, whom the engine is told no name for', () => {
  expect(resolveUser({ passwd }, undefined, web)).toMatchObject({ name: 'root', uid: 0, engineUser: '' })
  expect(resolveUser({ passwd }, undefined, ranAs('dev'))).toMatchObject({ uid: 1000, gid: 1000, engineUser: '' })
})

test.each([
  ['1000:50', 'dev', 1000, 50],
  ['dev:users', 'dev', 1000, 100],
  ['dev:', 'dev', 1000, 1000],
  [':users', 'root', 0, 100],
  ['4321:8765', '4321', 4321, 8765],
  ['4321:users', '4321', 4321, 100],
])('run as %s: that user in that group, known though passwd may not be', (user, name, uid, gid) => {
  const files = { passwd, group }
  expect(resolveUser(files, undefined, ranAs(user))).toMatchObject({ name, uid, gid, engineUser: '', known: true })
})

test('the group is that of the container’s own user alone', () => {
  const expected = { uid: 1000, gid: 1000, engineUser: 'dev' }
  expect(resolveUser({ passwd, group }, 'dev', ranAs('dev:users'))).toMatchObject(expected)
})

test('a group that is not there or broken is refused, not 0', () => {
  expect(() => resolveUser({ passwd, group }, undefined, ranAs('dev:wheel'))).toThrow('there is no group "wheel" that')
  expect(() => resolveUser({ passwd, group: undefined }, undefined, ranAs('dev:users'))).toThrow('there is no group')
  expect(() => resolveUser({ passwd, group }, undefined, ranAs('dev:bad'))).toThrow('group "bad" that container web')
})

test('run as nobody in particular is uid 0, whatever passwd calls root', () => {
  const odd = Buffer.from('root:x:1000:1000::/r:/bin/sh\n')
  expect(resolveUser({ passwd: odd }, undefined, web)).toMatchObject({ name: 'root', uid: 0, gid: 0, home: '/root' })
})

test('without an entry the home is the one that image or run set', () => {
  expect(resolveUser({ passwd }, '4242', ranAs('', 'HOME=/tmp'))).toMatchObject({ home: '/tmp', known: false })
  expect(resolveUser({ passwd }, undefined, ranAs('4321:1', 'HOME=/a', 'HOME=/b'))).toMatchObject({ home: '/b' })
  expect(resolveUser({ passwd }, '4242', ranAs('', 'HOME=tmp'))).toMatchObject({ home: '/' })
  expect(resolveUser({ passwd }, 'dev', ranAs('', 'HOME=/tmp'))).toMatchObject({ home: '/home/dev' })
})

test('root is asked for by name: another entry of uid 0 may have another group', () => {
  const expected = { uid: 0, gid: 0, home: '/root', shell: '/bin/bash', engineUser: 'root' }
  expect(
    resolveUser({ passwd: Buffer.concat([Buffer.from('toor:x:0:5::/t:/bin/sh\n'), passwd]) }, 'root', web),
  ).toMatchObject(expected)
})

test('a name brings its record, and goes to the engine as a name for its groups', () => {
  expect(resolveUser({ passwd }, 'dev', web)).toEqual({
    name: 'dev',
    uid: 1000,
    gid: 1000,
    home: '/home/dev',
    shell: '/bin/zsh',
    engineUser: 'dev',
    entry: true,
    known: true,
  })
})

test('digits mean a uid, with or without an entry', () => {
  expect(resolveUser({ passwd }, '1000', web)).toMatchObject({ name: 'dev', engineUser: '1000' })
  expect(resolveUser({ passwd }, '4242', web)).toMatchObject({
    name: '4242',
    uid: 4242,
    gid: 0,
    home: '/',
    engineUser: '4242',
    entry: false,
    known: false,
  })
})

test('no home and no shell have their defaults', () => {
  expect(resolveUser({ passwd }, 'bare', web)).toMatchObject({ home: '/', shell: '/bin/sh' })
})

test('without a passwd file root and numbers work, names do not', () => {
  expect(resolveUser({ passwd: undefined }, undefined, web)).toMatchObject({ uid: 0, home: '/root' })
  expect(resolveUser({ passwd: undefined }, '7', web)).toMatchObject({ uid: 7 })
  expect(() => resolveUser({ passwd: undefined }, 'dev', web)).toThrow('no user "dev" in container web')
})

test('a broken entry is refused with a sentence', () => {
  expect(() => resolveUser({ passwd: Buffer.from('dev:x::::/:/bin/sh\n') }, 'dev', web)).toThrow(
    /passwd entry of "dev" in container web is broken/,
  )
})

test('a number with nothing but broken entries is refused with it', () => {
  expect(() => resolveUser({ passwd: Buffer.alloc(1024 * 1024, '+:x:7:0:::\n') }, '7', web)).toThrow(
    /passwd entry of "7" in container web is broken/,
  )
})

const numeric = { user: 'numeric' } as const
const none = { user: 'none' } as const

test('an engine that looks no name up is told the user, and all groups that list them, by number', () => {
  const files = { passwd, group: Buffer.from('wheel:x:10:root,dev\nusers:x:100:dev \ndevs:x:101:devs,xdev\n') }
  const told = (user: string) => resolveUser(files, user, web, numeric).engineUser
  expect(told('dev')).toBe('1000:1000,10,100')
  expect(told('1000')).toBe('1000:1000,10,100')
  expect(told('bare')).toBe('1001:1001')
  expect(told('4321')).toBe('4321:0')
  expect(told('root')).toBe('0:0,10')
  expect(resolveUser({ passwd }, 'dev', web, numeric).engineUser).toBe('1000:1000')
  expect(resolveUser(files, undefined, ranAs('dev'), numeric).engineUser).toBe('')
})

test('an engine that takes no user is told none for the container’s own, and of another it is told who', () => {
  const told = (user: string, container: typeof web) => resolveUser({ passwd, group }, user, container, none).engineUser
  expect(told('dev', ranAs('1000:1000'))).toBe('')
  expect(told('root', web)).toBe('')
  expect(told('dev', ranAs('dev:users'))).toBe('dev')
  expect(told('dev', web)).toBe('dev')
})

test('where such a container runs as root, the helper is told whom to become; nothing else may run as root for them', () => {
  const files = { passwd, group: Buffer.from('wheel:x:10:root,dev\nusers:x:100:dev\n') }
  const asked = (user: string | undefined, container: typeof web) =>
    guestUserOf(resolveUser(files, user, container, none))
  expect(asked('dev', web)).toEqual({ exec: '', become: '1000:1000,10,100', uid: 1000, gid: 1000 })
  expect(asked('4321', web)).toEqual({ exec: '', become: '4321:0', uid: 4321, gid: 0 })
  expect(resolveUser(files, 'dev', web, none).engineUser).toBe('dev')
  expect(asked('root', web)).toEqual({ exec: '', uid: 0, gid: 0 })
  expect(asked(undefined, web)).toEqual({ exec: '', uid: 0, gid: 0 })
  // Another user than root becomes nobody else.
  expect(asked('root', ranAs('1000:1000'))).toEqual({ exec: 'root', uid: 0, gid: 0 })
  expect(asked('dev', ranAs('1000:1000'))).toEqual({ exec: '', uid: 1000, gid: 1000 })
})
