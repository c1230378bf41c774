/** Methods over the people of the configuration: who is proved by what, and what strangers see of it. */
import { randomBytes, scryptSync } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pino from 'pino'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Identity } from '../../src/auth/identity.ts'
import { createLockout } from '../../src/auth/lockout.ts'
import { createLogin, type LoginMethods } from '../../src/auth/login.ts'
import { type Restrictions, UNRESTRICTED } from '../../src/auth/restrictions.ts'
import { codeAt } from '../../src/auth/totp.ts'
import { openUsers } from '../../src/auth/users.ts'
import { loadConfig } from '../../src/config/load.ts'
import { parseTotp } from '../../src/config/secrets.ts'
import { parseMethods } from '../../src/config/users.ts'
import { takenAway } from '../../src/policy/restrictions.ts'
import type { AuthContext, Dialogue } from '../../src/ssh/auth.ts'

const SECRET = 'JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP'
const KEY = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEYXsIfgTPk0kYQS2SxpyDHGVyDJSDXvHhPOeNlxWNVH'

let directory: string
let config: string
let logged: string
const log = pino(
  { level: 'debug' },
  {
    write(line: string) {
      logged += line
    },
  },
)

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'hw-test-login-'))
  // As cheap as can be: how long it takes is not the matter here.
  const salt = randomBytes(16)
  const base64 = (bytes: Buffer) => bytes.toString('base64').replace(/=+$/, '')
  const hash = `$scrypt$ln=4,r=8,p=1$${base64(salt)}$${base64(scryptSync('right', salt, 32, { N: 16 }))}`
  config = `
users:
  alice: { passwordHash: '${hash}', totpSecret: ${SECRET}, groups: [dev, ops], keys: ['SHA256:alices'] }
  bob: { passwordHash: '${hash}', principals: [bob@corp] }
  carol: { totpSecret: ${SECRET}, authorizedKeys: [carol.keys] }
  dave: { keys: ['${KEY} of-dave'], authenticationMethods: ["publickey,publickey"] }
`
})
afterAll(() => rmSync(directory, { recursive: true }))
beforeEach(() => {
  logged = ''
})

async function open(yaml = config, methods = 'publickey'): Promise<LoginMethods> {
  const file = join(directory, 'hatchway.yaml')
  writeFileSync(file, yaml)
  const claimed = new Set<string>()
  return createLogin({
    keys: { publicKey: async ({ blob }) => JSON.parse(blob.toString()), today: async () => undefined },
    users: await openUsers(loadConfig({ file, env: {} }).config.users),
    lockout: createLockout(mkdtempSync(join(directory, 'wrong-'))),
    usedSteps: {
      claim: async (user, step) => !claimed.has(`${user} ${step}`) && Boolean(claimed.add(`${user} ${step}`)),
    },
    methods: parseMethods(methods) ?? [],
    log,
  })
}

function as(user: string): AuthContext {
  const endpoint = { address: '192.0.2.1', port: 1 }
  return { connectionId: 'c1', user, remote: endpoint, local: endpoint, signal: new AbortController().signal }
}

function key(facts: Partial<Identity>): Identity {
  const plain = { name: 'comment', method: 'publickey', fingerprint: 'SHA256:x', source: 'file:1' }
  return { ...plain, groups: [], principals: [], restrictions: UNRESTRICTED, ...facts }
}

const offer = (facts: Partial<Identity>) => ({ algorithm: '', blob: Buffer.from(JSON.stringify(key(facts))) })

/** Answers until it ends: what was asked, and who was proved. */
async function talk(dialogue: Dialogue<Identity>, ...answers: string[]) {
  const asked: string[] = []
  let step = await dialogue.next([])
  while (!step.done) {
    asked.push(...step.value.prompts.map(({ text, echo }) => (echo ? `${text} (shown)` : text)))
    step = await dialogue.next([Buffer.from(answers.shift() ?? '')])
  }
  return { asked, name: step.value?.name, method: step.value?.method }
}

function code(off = 0): string {
  const totp = parseTotp(SECRET)
  if (!totp) throw new Error('no secret')
  return codeAt(totp, Math.floor(Date.now() / 30_000) + off)
}

describe('a password', () => {
  it('proves whom the login name claims, with their groups', async () => {
    const login = await open()
    expect(await login.password(Buffer.from('right'), as('alice=dev@web'), undefined)).toMatchObject({
      name: 'alice',
      method: 'password',
      fingerprint: '',
      source: 'user alice',
      groups: ['dev', 'ops'],
    })
  })

  it.each([
    ['a wrong one', 'alice=dev@web', 'wrong'],
    ['an empty one', 'alice=dev@web', ''],
    ['of somebody who has none', 'carol=dev@web', 'right'],
    ['of nobody', 'mallory=dev@web', 'right'],
    ['without a name', 'dev@web', 'right'],
    ['of the user inside', 'alice@web', 'right'],
    ['with a name of objects', '__proto__=web', 'right'],
  ])('%s proves nothing', async (_what, user, password) => {
    const login = await open()
    expect(await login.password(Buffer.from(password), as(user), undefined)).toBeUndefined()
  })

  it('must be that of whoever the key proved, whatever else is claimed', async () => {
    const login = await open()
    const right = Buffer.from('right')
    expect(await login.password(right, as('dev@web'), key({ name: 'bob' }))).toMatchObject({ name: 'bob' })
    expect(await login.password(right, as('bob=dev@web'), key({ name: 'nobody' }))).toBeUndefined()
  })
})

describe('keyboard-interactive', () => {
  const [PASSWORD, CODE] = ['Password: ', 'Verification code: ']

  it('asks a stranger for the password and then the code, and the first answer changes nothing visible', async () => {
    const login = await open()
    const talks = [
      [['alice=web', 'right', code()], 'alice'],
      [['alice=web', 'right', '000000'], undefined],
      [['alice=web', 'wrong', code(1)], undefined],
      [['bob=web', 'wrong', code(1)], undefined],
      [['mallory=web', 'right', code(1)], undefined],
      [['dev@web', 'right', code(1)], undefined],
    ] as const
    for (const [[user, ...answers], name] of talks) {
      const result = await talk(login.keyboardInteractive('', as(user), undefined), ...answers)
      expect(result).toMatchObject({ asked: [PASSWORD, CODE], name })
    }
    expect(logged).not.toMatch(/right|000000/)
  })

  it('lets those in who have no code, and asks nobody for one where nobody has', async () => {
    const login = await open()
    expect(await talk(login.keyboardInteractive('', as('bob=web'), undefined), 'right')).toEqual({
      asked: [PASSWORD],
      name: 'bob',
      method: 'keyboard-interactive',
    })
    const without = await open('users: { bob: {} }')
    expect((await talk(without.keyboardInteractive('', as('bob=web'), undefined), 'wrong')).asked).toEqual([PASSWORD])
  })

  it('asks whoever is proved for what they have', async () => {
    const login = await open()
    const ask = (name: string, ...answers: string[]) =>
      talk(login.keyboardInteractive('', as('web'), key({ name })), ...answers)
    expect(await ask('alice', 'right', code())).toMatchObject({ asked: [PASSWORD, CODE], name: 'alice' })
    expect(await ask('carol', code())).toMatchObject({ asked: [CODE], name: 'carol' })
    expect(await ask('bob', 'right')).toMatchObject({ asked: [PASSWORD], name: 'bob' })
    expect(await ask('dave', 'right')).toMatchObject({ asked: [PASSWORD], name: undefined })
    expect(await ask('unlisted', 'right')).toMatchObject({ asked: [PASSWORD], name: undefined })
  })

  it('asks one thing for a device, and says which it was', async () => {
    const login = await open()
    const device = (name: string, answer: string) =>
      talk(login.keyboardInteractive(name, as('alice=web'), undefined), answer)
    expect(await device('password', 'right')).toEqual({
      asked: [PASSWORD],
      name: 'alice',
      method: 'keyboard-interactive:password',
    })
    expect(await device('totp', code())).toEqual({ asked: [CODE], name: 'alice', method: 'keyboard-interactive:totp' })
  })

  it('takes a code once', async () => {
    const login = await open()
    const once = code()
    const ask = () => talk(login.keyboardInteractive('totp', as('web'), key({ name: 'carol' })), once)
    expect((await ask()).name).toBe('carol')
    expect((await ask()).name).toBeUndefined()
    expect(logged).toContain('verification code was used before')
  })

  it('takes no code at all after five wrong ones, and says so in the log', async () => {
    const login = await open()
    const ask = (answer: string) => talk(login.keyboardInteractive('totp', as('web'), key({ name: 'carol' })), answer)
    for (let i = 0; i < 5; i++) expect((await ask('0')).name).toBeUndefined()
    expect((await ask(code())).name).toBeUndefined()
    expect(logged).toContain('"lockedFor":30')
    expect(logged).toContain('too many wrong ones')
  })

  it('counts no right code that was used before, also while wrong ones are counted', async () => {
    const login = await open()
    const ask = (answer: string) => talk(login.keyboardInteractive('totp', as('web'), key({ name: 'carol' })), answer)
    const used = code()
    expect((await ask(used)).name).toBe('carol')
    for (let i = 0; i < 4; i++) await ask('0')
    for (let i = 0; i < 6; i++) await ask(used)
    expect((await ask(code(1))).name).toBe('carol')
  })

  it('counts no code of who did not know the password: nobody is locked out by strangers', async () => {
    const login = await open()
    for (let i = 0; i < 8; i++) await talk(login.keyboardInteractive('', as('alice=web'), undefined), 'wrong', '0')
    expect(await talk(login.keyboardInteractive('', as('alice=web'), undefined), 'right', code())).toMatchObject({
      name: 'alice',
    })
  })
})

describe('a key', () => {
  it.each<[string, Partial<Identity>, string, readonly string[]]>([
    ['by its fingerprint', { fingerprint: 'SHA256:alices' }, 'alice', ['dev', 'ops']],
    ['by its file', { source: 'DIR/carol.keys:3' }, 'carol', []],
    ['by its place in the configuration', { source: 'users.dave.keys:1' }, 'dave', []],
    ['by itself, wherever it is let in', { fingerprint: 'FINGERPRINT', source: 'command:1' }, 'dave', []],
    ['by its principal', { principals: ['x', 'bob@corp'], source: 'ca SHA256:ca' }, 'bob', []],
    ['as nobody’s', {}, 'comment', []],
    ['as nobody’s, when the comment is a user’s name', { name: 'alice' }, 'SHA256:x', []],
    ['as nobody’s, when it is two people’s', { principals: ['bob@corp'], fingerprint: 'SHA256:alices' }, 'comment', []],
  ])('is known %s', async (_how, facts, name, groups) => {
    const { execFileSync } = await import('node:child_process')
    const print = execFileSync('ssh-keygen', ['-lf', '-'], { input: `${KEY}\n`, encoding: 'utf8' }).split(' ')[1] ?? ''
    const source = (facts.source ?? 'file:1').replace('DIR', directory)
    const fingerprint = (facts.fingerprint ?? 'SHA256:x').replace('FINGERPRINT', print)
    const login = await open()
    expect(await login.publicKey(offer({ ...facts, source, fingerprint }), as('web'))).toMatchObject({ name, groups })
  })

  it('is refused when the login name claims somebody else', async () => {
    const login = await open()
    const alices = offer({ fingerprint: 'SHA256:alices' })
    expect(await login.publicKey(alices, as('alice=web'))).toMatchObject({ name: 'alice' })
    expect(await login.publicKey(alices, as('bob=web'))).toBeUndefined()
    expect(await login.publicKey(offer({ name: 'bob' }), as('bob=web'))).toBeUndefined()
  })

  it('or a principal of two people is a mistake in the configuration', async () => {
    await expect(open('users: { bob: { principals: [a, b] }, carol: { principals: [b] } }')).rejects.toThrow(
      'b is listed for two users, bob and carol',
    )
  })
})

describe('methods', () => {
  it('are told to strangers as everybody’s, and are one’s own once one is proved', async () => {
    const login = await open(undefined, 'publickey,keyboard-interactive password')
    const everybodys = [['publickey', 'keyboard-interactive'], ['password']]
    expect(login.methods(undefined)).toEqual([...everybodys, ['publickey', 'publickey']])
    expect(login.methods(key({ name: 'dave' }))).toEqual([['publickey', 'publickey']])
    expect(login.methods(key({ name: 'alice' }))).toEqual(everybodys)
  })

  it('are joined for one person of the configuration, and what either takes away is gone', async () => {
    const login = await open()
    const first = key({ name: 'alice', fingerprint: 'SHA256:1', restrictions: { ...UNRESTRICTED, pty: false } })
    const second = key({ name: 'alice', fingerprint: '', method: 'keyboard-interactive' })
    expect(login.join(first, second)).toMatchObject({
      name: 'alice',
      method: 'publickey,keyboard-interactive',
      fingerprint: 'SHA256:1',
      restrictions: { pty: false, agentForwarding: true },
    })
    expect(login.join(second, first)).toMatchObject({
      method: 'keyboard-interactive,publickey',
      fingerprint: 'SHA256:1',
      restrictions: { pty: false },
    })
    expect(login.join(first, key({ name: 'bob' }))).toBeUndefined()
    // Two keys with one comment, which anybody may write.
    expect(login.join(key({ name: 'x' }), key({ name: 'x' }))).toBeUndefined()
    const narrowed = (restrictions: Partial<Restrictions>) =>
      key({ name: 'alice', fingerprint: 'SHA256:2', restrictions: { ...UNRESTRICTED, ...restrictions } })
    const [web, db] = [
      narrowed({
        permitOpen: [['*:8080', 'db:1']],
        permitListen: [['*:1']],
        environment: ['A=1', 'B=2'],
        expiresAt: 9,
      }),
      narrowed({ permitOpen: [['localhost:*']], environment: ['B=2', 'C=3'], verifyRequired: true, expiresAt: 5 }),
    ]
    for (const joined of [login.join(web, db), login.join(db, web)]) {
      expect(joined?.restrictions).toMatchObject({ permitListen: [['*:1']], verifyRequired: true, expiresAt: 5 })
      expect([...(joined?.restrictions.environment ?? [])].sort()).toEqual(['A=1', 'B=2', 'C=3'])
      const opens = (host: string, port: number) =>
        joined && takenAway(joined.restrictions, { kind: 'forward-local', host, port }, 0) === undefined
      expect([opens('localhost', 8080), opens('localhost', 22), opens('db', 1), opens('web', 8080)]).toEqual([
        true,
        false,
        false,
        false,
      ])
    }
    expect(login.join(web, narrowed({ environment: ['B=3'] }))).toBeUndefined()
    const forced = (command: string) => key({ name: 'alice', restrictions: { ...UNRESTRICTED, command } })
    expect(login.join(forced('a'), forced('b'))).toBeUndefined()
  })
})
