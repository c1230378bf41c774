/** Files that cannot be read for no fault of theirs: nobody is told that a key is not accepted. The EIO is the kernel's own. */
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import pino from 'pino'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { type KeySettings, openAuthenticator } from '../../src/auth/authenticator.ts'
import { mustBeOfTheFile, mustBeOfTheProgram } from '../../src/auth/undecided.ts'
import type { AuthContext } from '../../src/ssh/auth.ts'
import { KeyFolder } from './key-server.ts'

/** Reading its first byte fails with EIO: nothing is mapped there. */
const FAILING = '/proc/self/mem'

const folder = new KeyFolder()
let lines: { level: number; msg: string; reason?: string }[] = []
const log = pino({ level: 'info' }, { write: (line: string) => lines.push(JSON.parse(line)) })
const context: AuthContext = {
  connectionId: 'c1',
  user: 'dev@web',
  remote: { address: '127.0.0.1', port: 1 },
  local: { address: '127.0.0.1', port: 2222 },
  signal: new AbortController().signal,
}

beforeAll(async () => {
  for (const name of ['alice', 'ca', 'carol']) await folder.key(name)
  await folder.certify('ca', 'carol')
  writeFileSync(join(folder.path, 'list'), folder.publicLine('alice'))
  mkdirSync(join(folder.path, 'principals'))
})
beforeEach(() => {
  lines = []
  rmSync(join(folder.path, 'failing'), { force: true })
})
afterEach(() => vi.restoreAllMocks())
afterAll(() => folder.remove())

const path = (name: string) => join(folder.path, name)
const offered = (name: string) => ({ algorithm: 'ssh-ed25519', blob: folder.blob(name) })

function open(settings: Partial<KeySettings>) {
  return openAuthenticator({ authorizedKeys: [path('list')], keysDirectory: path('keys'), ...settings }, log)
}

describe.each<[string, Partial<KeySettings>]>([
  ['authorizedKeys', { authorizedKeys: [path('list'), path('failing')] }],
  ['trustedUserCAKeys', { trustedUserCAKeys: [path('failing')] }],
  ['revokedKeys', { revokedKeys: [path('failing')] }],
])('a file of %s whose disk fails', (_key, settings) => {
  const certificate = () => ({ algorithm: '', blob: Buffer.from(folder.certificate('carol'), 'base64') })

  test('leaves it undecided who may log in, until it can be read', async () => {
    writeFileSync(path('failing'), '')
    const { publicKey, reload } = await open({ revokedKeys: [], ...settings })
    rmSync(path('failing'))
    symlinkSync(FAILING, path('failing'))
    const [key, message] = [
      'trustedUserCAKeys' in settings ? certificate() : offered('alice'),
      'the gateway cannot check any login at the moment; try again later',
    ]
    await expect(publicKey(key, context)).rejects.toMatchObject({
      code: 'LOGIN_UNDECIDED',
      message,
      cause: { message: `${path('failing')}: EIO: i/o error, read` },
    })
    rmSync(path('failing'))
    writeFileSync(path('failing'), '')
    await reload()
    expect((await publicKey(offered('alice'), context))?.name).toBe('alice')
  })

  test('is told at the start, which goes on', async () => {
    symlinkSync(FAILING, path('failing'))
    await open(settings)
    expect(lines).toContainEqual(
      expect.objectContaining({ level: 50, reason: `${path('failing')}: EIO: i/o error, read` }),
    )
  })
})

test('a file of principals whose disk fails', async () => {
  symlinkSync(FAILING, path('failing'))
  writeFileSync(path('authorities'), folder.publicLine('ca'))
  const { publicKey } = await open({
    trustedUserCAKeys: [path('authorities')],
    authorizedPrincipalsFile: path('failing'),
  })
  const blob = Buffer.from(folder.certificate('carol'), 'base64')
  await expect(publicKey({ algorithm: '', blob }, context)).rejects.toMatchObject({ code: 'LOGIN_UNDECIDED' })
})

test.each(['EMFILE', 'ENFILE', 'ENOMEM', 'EIO', 'ESTALE', 'EAGAIN'])(
  '%s is no word about a file or a program',
  (code) => {
    const error = Object.assign(new Error(code), { code })
    expect(() => mustBeOfTheFile('/x', error)).toThrow(expect.objectContaining({ code: 'LOGIN_UNDECIDED' }))
    expect(() => mustBeOfTheProgram('/x', error)).toThrow(expect.objectContaining({ code: 'LOGIN_UNDECIDED' }))
  },
)

test.each(['ENOENT', 'EACCES', 'ELOOP'])('%s is', (code) => {
  const error = Object.assign(new Error(code), { code })
  expect(() => mustBeOfTheFile('/x', error)).not.toThrow()
  expect(() => mustBeOfTheProgram('/x', error)).not.toThrow()
})

test('neither is what a program itself did', () => {
  expect(() => mustBeOfTheProgram('/x', undefined)).not.toThrow()
  expect(() =>
    mustBeOfTheProgram('/x', Object.assign(new Error(), { code: 'ERR_CHILD_PROCESS_STDIO_MAXBUFFER' })),
  ).not.toThrow()
})
