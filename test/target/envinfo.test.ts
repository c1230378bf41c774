import { expect, test } from 'vitest'
import { resolveUser } from '../../src/target/envinfo.ts'

const passwd = 'root:x:0:0:root:/root:/bin/bash\ndev:x:1000:1000:Dev,,,:/home/dev:/bin/zsh\nbare:x:1001:1001:::\n'
const web = { name: 'web', user: '' }

test('no user named: the image user, with its group where it has one, else root', () => {
  expect(resolveUser(passwd, undefined, web)).toMatchObject({ name: 'root', uid: 0, engineUser: '0' })
  expect(resolveUser(passwd, undefined, { name: 'web', user: 'dev' })).toMatchObject({ uid: 1000, engineUser: 'dev' })
  expect(resolveUser(passwd, undefined, { name: 'web', user: '1000:50' })).toMatchObject({
    name: 'dev',
    engineUser: '1000:50',
  })
})

test('root is asked for as uid 0', () => {
  expect(resolveUser(passwd, 'root', web)).toMatchObject({ uid: 0, home: '/root', shell: '/bin/bash', engineUser: '0' })
})

test('a name brings its record, and goes to the engine as a name for its groups', () => {
  expect(resolveUser(passwd, 'dev', web)).toEqual({
    name: 'dev',
    uid: 1000,
    gid: 1000,
    home: '/home/dev',
    shell: '/bin/zsh',
    engineUser: 'dev',
  })
})

test('digits mean a uid, with or without an entry', () => {
  expect(resolveUser(passwd, '1000', web)).toMatchObject({ name: 'dev', engineUser: '1000' })
  expect(resolveUser(passwd, '4242', web)).toMatchObject({
    name: '4242',
    uid: 4242,
    gid: 0,
    home: '/',
    engineUser: '4242',
  })
})

test('no home and no shell have their defaults', () => {
  expect(resolveUser(passwd, 'bare', web)).toMatchObject({ home: '/', shell: '/bin/sh' })
})

test('without a passwd file root and numbers work, names do not', () => {
  expect(resolveUser(undefined, undefined, web)).toMatchObject({ uid: 0, home: '/root' })
  expect(resolveUser(undefined, '7', web)).toMatchObject({ uid: 7 })
  expect(() => resolveUser(undefined, 'dev', web)).toThrow('no user "dev" in container web')
})

test('a broken entry is refused with a sentence', () => {
  expect(() => resolveUser('dev:x::::/:/bin/sh\n', 'dev', web)).toThrow(
    /passwd entry of "dev" in container web is broken/,
  )
})
