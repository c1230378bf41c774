import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pino from 'pino'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { openAuthenticator } from '../../src/auth/authenticator.ts'
import { UNRESTRICTED } from '../../src/auth/restrictions.ts'
import type { AuthContext } from '../../src/ssh/auth.ts'

let directory: string
let lines: { msg: string; file?: string; reason?: string }[]
const log = pino({ level: 'info' }, { write: (line: string) => lines.push(JSON.parse(line)) })
const context: AuthContext = {
  connectionId: 'c1',
  user: 'dev@web',
  remote: { address: '127.0.0.1', port: 1 },
  local: { address: '127.0.0.1', port: 2222 },
  signal: new AbortController().signal,
}

beforeEach(() => {
  lines = []
  directory = mkdtempSync(join(tmpdir(), 'hw-test-auth-'))
  mkdirSync(join(directory, 'home', '.ssh'), { recursive: true, mode: 0o755 })
  vi.stubEnv('HOME', join(directory, 'home'))
})
afterEach(() => {
  vi.unstubAllEnvs()
  rmSync(directory, { recursive: true })
})

function publicKey(name: string): string {
  execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', name, '-f', join(directory, name)])
  return readFileSync(join(directory, `${name}.pub`), 'utf8')
}

function offered(line: string) {
  const [algorithm = '', blob = ''] = line.split(' ')
  return { algorithm, blob: Buffer.from(blob, 'base64') }
}

function defaults() {
  return openAuthenticator({ authorizedKeys: undefined, keysDirectory: join(directory, 'keys'), users: {} }, log)
}

function withFile(...files: string[]) {
  return openAuthenticator({ authorizedKeys: files, keysDirectory: join(directory, 'keys'), users: {} }, log)
}

describe('with no configuration', () => {
  it('lets in the keys of the person who started it, wherever they are, and no other', async () => {
    const [mine, listed, forHere, stranger] = ['mine', 'listed', 'for-here', 'stranger'].map(publicKey)
    writeFileSync(join(directory, 'home/.ssh/id_x.pub'), mine!)
    writeFileSync(join(directory, 'home/.ssh/authorized_keys'), listed!)
    mkdirSync(join(directory, 'keys'))
    writeFileSync(join(directory, 'keys/authorized_keys'), forHere!)
    const authenticator = await defaults()
    const names = await Promise.all(
      [mine, listed, forHere, stranger].map(
        async (key) => (await authenticator.publicKey(offered(key!), context))?.name,
      ),
    )
    expect(names).toEqual(['mine', 'listed', 'for-here', undefined])
    expect(existsSync(join(directory, 'keys/id_ed25519'))).toBe(false)
  })

  it('makes a key when there is none, once', async () => {
    await defaults()
    const file = join(directory, 'keys/id_ed25519')
    expect(statSync(file).mode & 0o777).toBe(0o600)
    const made = readFileSync(`${file}.pub`, 'utf8')
    const again = await defaults()
    expect(readFileSync(`${file}.pub`, 'utf8')).toBe(made)
    expect((await again.publicKey(offered(made), context))?.source).toBe(`${file}.pub:1`)
  })
})

describe('authorised keys', () => {
  it('tell who it is by comment, fingerprint and line', async () => {
    const file = join(directory, 'ak')
    const key = publicKey('alice')
    writeFileSync(file, `# people\n${key}`)
    const print = execFileSync('ssh-keygen', ['-lf', join(directory, 'alice.pub')], { encoding: 'utf8' }).split(' ')[1]
    const identity = await (await withFile(file)).publicKey(offered(key), context)
    expect(identity).toMatchObject({ name: 'alice', fingerprint: print, source: `${file}:2` })
  })

  it('are read anew when the file changes, vanishes, or is replaced by one of the same size and time', async () => {
    const file = join(directory, 'ak')
    const [one, two] = [publicKey('one'), publicKey('two')]
    const authenticator = await withFile(file)
    const names = async () =>
      Promise.all([one, two].map(async (key) => (await authenticator.publicKey(offered(key), context))?.name))
    expect(await names()).toEqual([undefined, undefined])
    writeFileSync(file, one)
    expect(await names()).toEqual(['one', undefined])
    writeFileSync(`${file}.new`, two)
    execFileSync('touch', ['-r', file, `${file}.new`])
    renameSync(`${file}.new`, file)
    expect(await names()).toEqual([undefined, 'two'])
    rmSync(file)
    expect(await names()).toEqual([undefined, undefined])
  })

  it('come with what their options take away', async () => {
    const file = join(directory, 'ak')
    const key = publicKey('limited')
    writeFileSync(file, `command="uptime",no-pty,permitopen="db:5432" ${key}`)
    const identity = await (await withFile(file)).publicKey(offered(key), context)
    expect(identity?.restrictions).toEqual({
      ...UNRESTRICTED,
      command: 'uptime',
      pty: false,
      permitOpen: [['db:5432']],
    })
  })

  it('with an option that is not known are refused, as it may have been a restriction', async () => {
    const file = join(directory, 'ak')
    const key = publicKey('limited')
    writeFileSync(file, `no-pty,only-on-sundays ${key}`)
    expect(await (await withFile(file)).publicKey(offered(key), context)).toBeUndefined()
    expect(lines[0]).toMatchObject({
      msg: 'key ignored',
      file: `${file}:1`,
      reason: expect.stringContaining('only-on-sundays'),
    })
  })

  it.each([
    ['from= has another address', 'from="10.0.0.0/8"', /from=/],
    ['from= takes the address back', 'from="*,!127.0.0.0/8"', /from=/],
    ['from= is a network with host bits', 'from="127.0.0.1,127.0.0.1/8"', /from=/],
    ['its expiry-time is over', 'expiry-time="20200101Z"', /expiry/],
  ])('are refused when %s, and the log says why', async (_, options, reason) => {
    const file = join(directory, 'ak')
    const key = publicKey('limited')
    writeFileSync(file, `${options} ${key}`)
    expect(await (await withFile(file)).publicKey(offered(key), context)).toBeUndefined()
    expect(lines.find(({ msg }) => msg === 'key not accepted')?.reason).toMatch(reason)
  })

  it('are told of whenever they are asked about, what a client has made up only among its first six', async () => {
    const file = join(directory, 'ak')
    const key = publicKey('limited')
    writeFileSync(file, `from="10.0.0.0/8" ${key}`)
    const authenticator = await withFile(file)
    const type = 'ssh-ed25519-cert-v01@openssh.com'
    const madeUp = {
      algorithm: type,
      blob: Buffer.concat([Buffer.from([0, 0, 0, type.length]), Buffer.from(`${type}?`)]),
    }
    for (let keysRefused = 0; keysRefused < 10; keysRefused++) {
      await authenticator.publicKey(offered(key), { ...context, keysRefused })
      await authenticator.publicKey(madeUp, { ...context, keysRefused })
    }
    const reasons = lines.filter(({ msg }) => msg === 'key not accepted').map(({ reason }) => String(reason))
    expect(reasons.filter((reason) => reason.includes('from'))).toHaveLength(10)
    expect(reasons.filter((reason) => reason.includes('malformed'))).toHaveLength(6)
  })

  it('on two lines: the first that admits counts', async () => {
    const file = join(directory, 'ak')
    const key = publicKey('twice')
    writeFileSync(file, `from="10.0.0.0/8" ${key}no-pty,from="127.0.0.1" ${key}${key}`)
    const identity = await (await withFile(file)).publicKey(offered(key), context)
    expect(identity).toMatchObject({ source: `${file}:2`, restrictions: { pty: false } })
  })

  it('of an authority are no keys to log in with', async () => {
    const file = join(directory, 'ak')
    const key = publicKey('ca')
    writeFileSync(file, `cert-authority ${key}`)
    expect(await (await withFile(file)).publicKey(offered(key), context)).toBeUndefined()
  })

  it.each([
    ['the file is writable by others', (file: string) => chmodSync(file, 0o646)],
    ['a directory above is writable by others', (file: string) => chmodSync(join(file, '..'), 0o777)],
    ['the file is a FIFO', (file: string) => execFileSync('sh', ['-c', `rm ${file}; mkfifo ${file}`])],
    ['the file is a directory', (file: string) => execFileSync('sh', ['-c', `rm ${file}; mkdir ${file}`])],
  ])('are ignored with a warning when %s', async (_, spoil) => {
    mkdirSync(join(directory, 'etc'))
    const file = join(directory, 'etc', 'ak')
    const key = publicKey('k')
    writeFileSync(file, key)
    spoil(file)
    expect(await (await withFile(file)).publicKey(offered(key), context)).toBeUndefined()
    expect(lines[0]).toMatchObject({ msg: 'authorized keys ignored', file })
  })

  it('are trusted no longer when a directory above becomes writable by others', async () => {
    mkdirSync(join(directory, 'etc'))
    const file = join(directory, 'etc', 'ak')
    const key = publicKey('k')
    writeFileSync(file, key)
    const authenticator = await withFile(file)
    expect(await authenticator.publicKey(offered(key), context)).toBeDefined()
    chmodSync(join(directory, 'etc'), 0o777)
    expect(await authenticator.publicKey(offered(key), context)).toBeUndefined()
  })

  it('that come through a link to a place writable by others are ignored', async () => {
    mkdirSync(join(directory, 'open'))
    const key = publicKey('k')
    writeFileSync(join(directory, 'open', 'real'), key)
    chmodSync(join(directory, 'open'), 0o777)
    execFileSync('ln', ['-s', join(directory, 'open', 'real'), join(directory, 'ak')])
    expect(await (await withFile(join(directory, 'ak'))).publicKey(offered(key), context)).toBeUndefined()
  })
})
