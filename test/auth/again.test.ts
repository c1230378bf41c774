/** Who was let in is asked about again: at the inner login of a jump, and for every action, as things are today. */
import { randomBytes, scryptSync } from 'node:crypto'
import { chmodSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import pino from 'pino'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Identity } from '../../src/auth/identity.ts'
import { createLockout } from '../../src/auth/lockout.ts'
import { configSchema } from '../../src/config/schema.ts'
import { openPeople, type People } from '../../src/session/people.ts'
import type { AuthContext } from '../../src/ssh/auth.ts'
import { KeyFolder } from './key-server.ts'

const folder = new KeyFolder()
const user = process.getuid?.() === 0 ? 'nobody' : undefined
const log = pino({ level: 'silent' })

beforeAll(async () => {
  for (const name of ['alice', 'ca', 'second']) await folder.key(name)
  chmodSync(folder.path, 0o755)
})
afterAll(() => folder.remove())

const tried = { usedSteps: { claim: async () => true }, lockout: createLockout(join(folder.path, 'wrong-codes')) }

function people(config: object): Promise<People> {
  const settings = configSchema.parse({ authorizedKeys: [], hostSuffixes: ['.ctr'], ...config })
  return openPeople({ ...settings, keysDirectory: folder.path }, tried, log)
}

/** A login name, and behind a blank the host it is for. */
function at(login: string): AuthContext {
  const [name = '', host] = login.split(' ')
  const end = { address: '192.0.2.1', port: 1 }
  const context = { connectionId: 'c1', user: name, remote: end, local: end, signal: new AbortController().signal }
  return { ...context, ...(host !== undefined && { host }) }
}

async function loggedIn({ login }: People, key: string, name: string): Promise<Identity> {
  const identity = await login.publicKey({ algorithm: '', blob: folder.blob(key) }, at(name))
  if (!identity) throw new Error(`${key} is not let in as ${name}`)
  return identity
}

function program(name: string, text: string): string {
  const file = folder.file(name, `#!/bin/sh\n${text}\n`)
  chmodSync(file, 0o755)
  return file
}

describe('another login by the same proof', () => {
  const again = async (config: object, key: string, outer: string, inner: string) => {
    const world = await people(config)
    const found = await world.login.again(await loggedIn(world, key, outer), at(inner))
    return found && { name: found.name, command: found.restrictions.command, principals: found.principals }
  }

  it.each([
    ['%u', 'dev web', true],
    ['%u', 'dev web.ctr', true],
    ['%u', 'root web', false],
    ['%u', '@ web', false],
    ['%n', 'dev web.ctr', true],
    ['%n', 'dev db', false],
    ['%n', 'web', false],
  ])('is one that a program says the key is for: %s, %s', async (token, inner, allowed) => {
    const keys = program('keys-of', `case $1 in dev|dev@|dev@web) echo '${folder.publicLine('alice')}';; esac`)
    const config = { authorizedKeysCommand: [keys, token], authorizedKeysCommandUser: user }
    const found = await again(config, 'alice', token === '%u' ? 'dev@' : 'dev', inner)
    expect(found?.name).toBe(allowed ? 'alice' : undefined)
  })

  it.each([
    ['dev web', true],
    ['dev +shop', true],
    ['root web', false],
    ['web', false],
  ])('is one that a principal is for: %s', async (inner, allowed) => {
    await folder.certify('ca', 'alice')
    const config = { trustedUserCAKeys: [folder.file('trusted', `${folder.publicLine('ca')}\n`)] }
    // By the bare word, too, which is a container's name, or nothing's.
    for (const outer of ['dev@', 'dev']) {
      expect(await again(config, 'alice-cert', outer, inner), outer).toEqual(
        allowed ? { name: 'id of alice', command: undefined, principals: ['dev'] } : undefined,
      )
    }
  })

  it('a principal may be of a user in one container', async () => {
    await folder.certify('ca', 'alice', '-n', 'gate,root@web')
    const config = { trustedUserCAKeys: [folder.file('trusted', `${folder.publicLine('ca')}\n`)] }
    expect(await again(config, 'alice-cert', 'gate', 'root web.ctr')).toBeDefined()
    expect(await again(config, 'alice-cert', 'gate', 'root db')).toBeUndefined()
  })

  it('has the options of the line that lets it in', async () => {
    await folder.certify('ca', 'alice', '-n', 'ops')
    for (const [name, line] of [
      ['dev', 'ops'],
      ['root', 'command="id" ops'],
      ['far', 'from="10.0.0.0/8" ops'],
      ['pin', 'verify-required ops'],
    ])
      folder.file(`principals-${name}`, `${line}\n`)
    const config = {
      trustedUserCAKeys: [folder.file('trusted', `${folder.publicLine('ca')}\n`)],
      authorizedPrincipalsFile: `${folder.path}/principals-%u`,
    }
    expect(await again(config, 'alice-cert', 'dev@', 'dev web')).toMatchObject({ command: undefined })
    expect(await again(config, 'alice-cert', 'dev@', 'root web')).toMatchObject({ command: 'id' })
    expect(await again(config, 'alice-cert', 'dev@', 'far web')).toBeUndefined()
    // What the first signature did not show.
    expect(await again(config, 'alice-cert', 'dev@', 'pin web')).toBeUndefined()
  })

  it('is nobody else’s', async () => {
    const keys = program('named', `echo '${folder.publicLine('alice').replace(/ alice$/, '')}' "$1"`)
    const config = { authorizedKeysCommand: [keys, '%u'], authorizedKeysCommandUser: user }
    expect(await again(config, 'alice', 'dev@', 'dev web')).toBeDefined()
    expect(await again(config, 'alice', 'dev@', 'root web')).toBeUndefined()
    expect(await again(config, 'alice', 'dev@', 'bob=dev web')).toBeUndefined()
  })

  it('a password is proof of its user everywhere, while there is one', async () => {
    const salt = randomBytes(16)
    const base64 = (bytes: Buffer) => bytes.toString('base64').replace(/=+$/, '')
    const hash = `$scrypt$ln=4,r=8,p=1$${base64(salt)}$${base64(scryptSync('right', salt, 32, { N: 16 }))}`
    const authorizedKeys = [folder.file('authorized', `${folder.publicLine('alice')}\n`)]
    const before = await people({
      authorizedKeys,
      users: { alice: { passwordHash: hash, authorizedKeys, groups: ['a'] } },
    })
    const byPassword = await before.login.password(Buffer.from('right'), at('alice=dev@web'), undefined)
    const byBoth = before.login.join(await loggedIn(before, 'alice', 'dev@'), byPassword!)
    const after = await people({ authorizedKeys, users: { alice: { authorizedKeys, groups: ['b'] } } })
    const gone = await people({ authorizedKeys })
    for (const identity of [byPassword!, byBoth!]) {
      expect(await before.login.again(identity, at('root web'))).toMatchObject({
        method: identity.method,
        groups: ['a'],
      })
      expect(await before.login.again(identity, at('bob=root web'))).toBeUndefined()
      expect(await after.login.again(identity, at('root web'))).toMatchObject({ name: 'alice', groups: ['b'] })
      expect(await after.login.today(identity)).toMatchObject({ method: identity.method, groups: ['b'] })
      expect(await gone.login.again(identity, at('root web'))).toBeUndefined()
      expect(await gone.login.today(identity)).toBeUndefined()
    }
  })
})

describe('today', () => {
  const authorized = () => folder.file('authorized', `${folder.publicLine('alice')}\n`)
  const fingerprint = async () => (await folder.keygen('-lf', 'alice.pub')).split(' ')[1] ?? ''

  it('groups are those of now, and a user that is gone is no name any more', async () => {
    const authorizedKeys = [authorized()]
    const users = { ops: { keys: [await fingerprint()], groups: ['dev'] } }
    const identity = await loggedIn(await people({ authorizedKeys, users }), 'alice', 'web')
    expect(identity).toMatchObject({ name: 'ops', groups: ['dev'] })
    const regrouped = await people({ authorizedKeys, users: { ops: { ...users.ops, groups: ['guests'] } } })
    expect(await regrouped.login.today(identity)).toMatchObject({ name: 'ops', groups: ['guests'] })
    const without = await people({ authorizedKeys, users: {} })
    expect(await without.login.today(identity)).toMatchObject({ name: 'alice', groups: [] })
    const taken = await people({ authorizedKeys, users: { alice: {} } })
    expect((await taken.login.today(identity))?.name).toBe(await fingerprint())
  })

  it('a key that was moved to another’s file is theirs, and one with other options has those', async () => {
    const [mine, theirs] = [folder.file('mine', `${folder.publicLine('alice')}\n`), folder.file('theirs', '\n')]
    const users = { one: { authorizedKeys: [mine] }, two: { authorizedKeys: [theirs] } }
    const world = await people({ users })
    const identity = await loggedIn(world, 'alice', 'web')
    writeFileSync(mine, `command="id" ${folder.publicLine('alice')}\n`)
    expect(await world.login.today(identity)).toMatchObject({ name: 'one', restrictions: { command: 'id' } })
    writeFileSync(theirs, `${folder.publicLine('alice')}\n`)
    writeFileSync(mine, '\n')
    expect((await world.login.today(identity))?.name).toBe('two')
    writeFileSync(theirs, '\n')
    expect(await world.login.today(identity)).toBeUndefined()
  })

  it('an authority and a principal may be gone', async () => {
    const ca = folder.file('trusted', `${folder.publicLine('ca')}\n`)
    await folder.certify('ca', 'alice', '-n', 'ci')
    const world = await people({ trustedUserCAKeys: [ca], users: { robot: { principals: ['ci'] } } })
    const identity = await loggedIn(world, 'alice-cert', 'web')
    expect((await world.login.today(identity))?.name).toBe('robot')
    const other = await people({ trustedUserCAKeys: [ca], users: { robot: {} } })
    expect(await other.login.today(identity)).toBeUndefined()
    const listed = await people({ trustedUserCAKeys: [ca], authorizedPrincipals: ['ci'] })
    expect((await listed.login.today(identity))?.name).toBe('id of alice')
    expect(await (await people({ authorizedPrincipals: ['ci'] })).login.today(identity)).toBeUndefined()
  })

  it('no program is run for it, but one that is no more let nobody in', async () => {
    const seen = folder.file('runs', '\n')
    chmodSync(seen, 0o666)
    const keys = program('counted', `echo run >>${seen}; echo '${folder.publicLine('alice')}'`)
    const revoked = folder.file('revoked', '# nobody\n')
    const config = { authorizedKeysCommand: [keys], authorizedKeysCommandUser: user, revokedKeys: [revoked] }
    const world = await people(config)
    const identity = await loggedIn(world, 'alice', 'web')
    const runs = readFileSync(seen, 'utf8')
    expect((await world.login.today(identity))?.name).toBe('alice')
    expect(readFileSync(seen, 'utf8')).toBe(runs)
    expect(await (await people({})).login.today(identity)).toBeUndefined()
    writeFileSync(revoked, `${folder.publicLine('alice')}\n`)
    expect(await world.login.today(identity)).toBeUndefined()
  })
})

it('wrong codes are still counted after the people were read anew', async () => {
  const users = { alice: { totpSecret: 'JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP' } }
  for (let i = 0; i < 5; i++) {
    const { login } = await people({ users, authenticationMethods: 'keyboard-interactive' })
    const dialogue = login.keyboardInteractive('totp', at('alice=web'), undefined)
    await dialogue.next([])
    await dialogue.next([Buffer.from('0')])
  }
  expect(await tried.lockout.attempt('alice')).toBeUndefined()
})

it('no program is told of a certificate that its authority did not sign', async () => {
  const seen = folder.file('told', '\n')
  chmodSync(seen, 0o666)
  const { login } = await people({
    trustedUserCAKeys: [folder.file('trusted', `${folder.publicLine('ca')}\n`)],
    authorizedPrincipalsCommand: [program('tell', `echo "$1" >>${seen}; echo dev`), '%i'],
    authorizedPrincipalsCommandUser: user,
    authorizedKeysCommand: [program('tell-keys', `echo "$1" >>${seen}`), '%f'],
    authorizedKeysCommandUser: user,
  })
  await folder.certify('ca', 'alice')
  const forged = folder.blob('alice-cert')
  forged.write('ID OF', forged.indexOf('id of'))
  expect(await login.publicKey({ algorithm: '', blob: forged }, at('dev@web'))).toBeUndefined()
  expect(readFileSync(seen, 'utf8')).toBe('\n')
  expect(await login.publicKey({ algorithm: '', blob: folder.blob('alice-cert') }, at('dev@web'))).toBeDefined()
  expect(readFileSync(seen, 'utf8')).toBe('\nid of alice\n')
})
