/** AuthorizedKeysCommand and AuthorizedPrincipalsCommand: what they are given, and what is done with what they do. */
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import pino from 'pino'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { splitArguments } from '../../src/auth/argv.ts'
import { openHelper } from '../../src/auth/helper-program.ts'
import { safeName } from '../../src/auth/tokens.ts'
import { KeyFolder, type KeyServer, startKeyServer } from './key-server.ts'

const folder = new KeyFolder()
const asRoot = process.getuid?.() === 0
const user = asRoot ? 'nobody' : undefined
let lines: string[] = []
const log = pino({ level: 'info' }, { write: (line: string) => void lines.push(line) })
const { signal } = new AbortController()
const remote = { address: '192.0.2.7', port: 50_000 }
const login = { remote, signal }

beforeAll(async () => {
  for (const name of ['ca', 'alice', 'stranger']) await folder.key(name)
  // nobody must be able to read what it runs.
  chmodSync(folder.path, 0o755)
})
beforeEach(() => {
  lines = []
})
afterAll(() => folder.remove())

function script(name: string, body: string, mode = 0o755): string {
  const file = folder.file(name, `#!/bin/sh\n${body}\n`)
  chmodSync(file, mode)
  return file
}

function open(command: string | string[], tokens = 'unCfkt', timeout = 5_000) {
  return openHelper({ key: 'authorizedKeysCommand', command, user, tokens, timeout }, log)
}

describe('a program', () => {
  it('gets its arguments as they are, and no shell sees them', async () => {
    const run = await open([script('args', 'printf "<%s>" "$@"'), '%u', 'a b', '$(id)', '%u-%f%%', ''])
    expect(await run({ u: 'dev', f: 'SHA256:x' }, login)).toBe('<dev><a b><$(id)><dev-SHA256:x%><>')
  })

  it('gets little of our environment, no input, and runs as its own user', async () => {
    const run = await open(
      script(
        'env',
        'env | grep -v ^_= | grep -v ^SHLVL= | cut -d= -f1 | sort | tr "\\n" " "; cat; pwd; id -un; id -Gn',
      ),
    )
    const names = process.env.LANG === undefined ? 'HOME LOGNAME PATH PWD USER ' : 'HOME LANG LOGNAME PATH PWD USER '
    const name = asRoot ? 'nobody' : process.env.USER
    const said = (await run({}, login))?.split('\n') ?? []
    expect(said[0]).toBe(`${names}/`)
    expect(said[1]).toBe(name)
    if (asRoot) expect(said[2]).toBe('nogroup')
  })

  it.each([
    ['fails', 'echo key; exit 3', /exit code 3/],
    ['is ended by a signal', 'echo key; kill -9 $$', /SIGKILL/],
    ['prints too much', 'yes', /more than/],
    ['takes too long', 'echo key; sleep 100', /longer than/],
    ['leaves a child that takes too long', 'sleep 100 & echo key; exit 0', /longer than/],
    ['complains', "echo 'no such directory' >&2; exit 1", /no such directory/],
  ])('that %s has said nothing, and the log says why', async (name, body, reason) => {
    const run = await open(script(`bad-${name.replaceAll(' ', '-')}`, body), '', 1_000)
    expect(await run({}, login)).toBeUndefined()
    expect(lines.map((line) => JSON.parse(line))).toMatchObject([
      { msg: 'authorizedKeysCommand failed', reason: expect.stringMatching(reason) },
    ])
  })

  it('ends with its children when its time is over', async () => {
    const mark = `hw-mark-${process.pid}`
    const run = await open(script('children', `sh -c 'sleep 97 ; : ${mark}' & sh -c 'sleep 98 ; : ${mark}'`), '', 500)
    expect(await run({}, login)).toBeUndefined()
    await sleep(100)
    expect(commandLines().filter((line) => line.includes(mark))).toEqual([])
  })

  it('ends when the client is gone', async () => {
    const gone = new AbortController()
    const run = await open(script('slow', 'sleep 96'), '')
    const asked = run({}, { remote, signal: gone.signal })
    setTimeout(() => gone.abort(), 300)
    const began = Date.now()
    expect(await asked).toBeUndefined()
    expect(Date.now() - began).toBeLessThan(4_000)
    expect(lines).toEqual([])
  })

  it('waits for its turn: ten run at once, five for one source, and its time begins with it', async () => {
    const count = join(folder.path, 'at-once')
    mkdirSync(count)
    chmodSync(count, 0o777)
    const counting = (name: string, seconds: number) =>
      open([script(name, `touch ${count}/$$; ls ${count} | wc -l; sleep ${seconds}; rm ${count}/$$`)], '', 3_000)
    const [long, short] = [await counting('counts-long', 0.8), await counting('counts-short', 0.2)]
    const many = (address: string, length: number, run = short) =>
      Array.from({ length }, () => run({}, { remote: { address, port: 1 }, signal }))
    const most = async (asked: Promise<string | undefined>[]) => Math.max(...(await Promise.all(asked)).map(Number))
    // The last have waited longer than a program may take.
    expect(await most(many('192.0.2.1', 21, long))).toBe(5)
    expect(await most(['1', '2', '3'].flatMap((last) => many(`192.0.2.${last}`, 8)))).toBeLessThanOrEqual(10)
    expect(await most(['1', '2'].flatMap((last) => many(`2001:db8::${last}`, 6)))).toBeLessThanOrEqual(5)
    expect(lines).toEqual([])
  }, 30_000)

  it('is not run any more when the client leaves before its turn', async () => {
    const witness = join(folder.path, 'late')
    const busy = await open(script('busy', 'sleep 0.5'), '')
    const late = await open(script('late-one', `touch ${witness}`), '')
    const before = Array.from({ length: 5 }, () => busy({}, login))
    const gone = new AbortController()
    const asked = late({}, { remote, signal: gone.signal })
    gone.abort()
    expect(await asked).toBeUndefined()
    await Promise.all(before)
    await sleep(100)
    expect(existsSync(witness)).toBe(false)
  })

  it.each([
    ['is writable by others', 0o757, undefined],
    ['is in a folder writable by others', 0o755, 0o777],
    ['cannot be executed', 0o644, undefined],
  ])('that %s is not run', async (name, mode, folderMode) => {
    const directory = join(folder.path, `at-${name.replaceAll(' ', '-')}`)
    mkdirSync(directory)
    const witness = join(folder.path, 'witness')
    const program = script(`at-${name.replaceAll(' ', '-')}/program`, `touch ${witness}; echo ran`, mode)
    if (folderMode) chmodSync(directory, folderMode)
    expect(await (await open(program, ''))({}, login)).toBeUndefined()
    expect(existsSync(witness)).toBe(false)
    expect(lines.join()).toMatch(/is not run/)
  })

  it('is not run with a user name that is more than a name', async () => {
    const run = await open([script('name', 'echo "$1"'), '%u'])
    expect(await run({ u: undefined }, login)).toBeUndefined()
  })
})

describe('a configuration is refused', () => {
  it.each([
    [['bin/keys'], /absolute/],
    ['"/bin/echo', /quote/],
    ['', /nothing to run/],
    [['/bin/echo', '%x'], /%x means nothing here/],
    [['/bin/echo', '%'], /means nothing/],
    [['/bin/echo', '%i'], /%i means nothing/],
  ])('%j', async (command, reason) => {
    await expect(open(command)).rejects.toThrow(reason)
  })

  it('with a user who does not exist', async () => {
    const settings = { key: 'authorizedKeysCommand', command: ['/bin/echo'], user: 'no-such-user', tokens: '' }
    await expect(openHelper(settings, log)).rejects.toThrow(/no user no-such-user/)
  })

  it.runIf(asRoot)('without a user, as it would run as root', async () => {
    const settings = { key: 'authorizedKeysCommand', command: ['/bin/echo'], user: undefined, tokens: '' }
    await expect(openHelper(settings, log)).rejects.toThrow(/authorizedKeysCommandUser/)
  })
})

it.each([
  ['/bin/x %u', ['/bin/x', '%u']],
  ['  /bin/x   "a b"\t\'c "d"\'  ', ['/bin/x', 'a b', 'c "d"']],
  [String.raw`/bin/x a\ b \"c\" "d\"e" f\g`, ['/bin/x', 'a b', '"c"', 'd"e', String.raw`f\g`]],
  ['/bin/x "" end', ['/bin/x', '', 'end']],
  ['a"b c"d', ['ab cd']],
  ['', []],
  ["/bin/x 'open", undefined],
])('a line of arguments: %s', (line, expected) => {
  expect(splitArguments(line)).toEqual(expected)
})

it.each([
  ['dev', true],
  ['', true],
  ['a.b_c-d@e:f=g+h', true],
  ['-x', false],
  ['.', false],
  ['..', false],
  ['a/b', false],
  ['a b', false],
  ['a$b', false],
  ["a'b", false],
  ['a\nb', false],
  ['a?b=c&d', false],
  ['é', false],
  ['a'.repeat(257), false],
])('the name %j may stand in an argument or a file name: %s', (name, allowed) => {
  expect(safeName(name)).toBe(allowed ? name : undefined)
})

describe('with the real client', () => {
  let server: KeyServer | undefined
  afterEach(() => server?.close())

  it('AuthorizedKeysCommand lets in who it prints, with the options it prints', async () => {
    const seen = join(folder.path, 'seen')
    script(
      'keys-of',
      `echo "$*" >>${seen}; [ "$1" = dev ] && cat ${folder.file('printed', `no-pty ${folder.publicLine('alice')}\nnot-an-option ${folder.publicLine('stranger')}\n`)}`,
    )
    chmodSync(folder.file('seen', '\n'), 0o666)
    chmodSync(folder.file('printed'), 0o644)
    server = await startKeyServer(folder, {
      authorizedKeysCommand: [folder.file('keys-of'), '%u', '%n', '%f', '%t', '%k', '%C'],
      authorizedKeysCommandUser: user,
    })
    const print = (await folder.keygen('-lf', 'alice.pub')).split(' ')[1]
    expect(await server.login(folder.file('alice'))).toMatchObject({
      name: 'alice',
      source: 'authorizedKeysCommand:1',
      restrictions: { pty: false },
    })
    const [type, base64] = folder.publicLine('alice').split(' ')
    expect(readFileSync(seen, 'utf8')).toMatch(`dev dev@web ${print} ${type} ${base64} 127.0.0.1 `)
    expect(await server.login(folder.file('stranger'))).toBeUndefined()
    expect(await server.login(folder.file('alice'), { user: 'root@web' })).toBeUndefined()
    // A name of a stranger's that is more than a name never reaches it.
    const before = readFileSync(seen, 'utf8')
    expect(await server.login(folder.file('alice'), { user: '../../dev@web' })).toBeUndefined()
    expect(readFileSync(seen, 'utf8')).toBe(before)
  })

  it('AuthorizedPrincipalsCommand says which principals may, with options', async () => {
    const trustedUserCAKeys = [folder.file('trusted', `${folder.publicLine('ca')}\n`)]
    server = await startKeyServer(folder, {
      trustedUserCAKeys,
      authorizedPrincipalsCommand: [
        script('principals-of', 'echo "# $*"; echo "no-pty $1-admin"; echo "$2"'),
        '%u',
        '%i',
        '%s',
        '%F',
        '%T',
      ],
      authorizedPrincipalsCommandUser: user,
    })
    const enter = async (principals: string) => {
      const certificate = await folder.certify('ca', 'alice', '-n', principals, '-z', '9')
      return server?.login(folder.file('alice'), { certificate })
    }
    expect(await enter('dev-admin')).toMatchObject({ restrictions: { pty: false } })
    expect(await enter('other,dev-admin')).toBeDefined()
    // The user asked for is no principal any more, once it is configured.
    expect(await enter('dev')).toBeUndefined()
    expect(await enter('root-admin')).toBeUndefined()
  })
})

describe('principals', () => {
  let server: KeyServer | undefined
  afterEach(() => server?.close())

  async function enter(settings: object, principals: string, login = 'dev@web') {
    const trustedUserCAKeys = [folder.file('trusted', `${folder.publicLine('ca')}\n`)]
    server = await startKeyServer(folder, { trustedUserCAKeys, ...settings })
    const certificate = await folder.certify('ca', 'alice', '-n', principals)
    return server.login(folder.file('alice'), { certificate, user: login })
  }

  it.each([
    [['ops'], 'ops', true],
    [['team-*'], 'x,team-a', true],
    [['*'], 'anybody', true],
    [['ops'], 'dev', false],
    [[], 'dev', false],
  ])('authorizedPrincipals %j and a certificate of %s: %s', async (authorizedPrincipals, principals, accepted) => {
    expect((await enter({ authorizedPrincipals }, principals)) !== undefined).toBe(accepted)
  })

  it.each<[object, string, boolean]>([
    [{ rules: [{ effect: 'allow', who: { principals: ['team-*'] } }] }, 'team-a', true],
    [{ rules: [{ effect: 'allow', who: { principals: ['team-*'] } }] }, 'dev', true],
    [{ rules: [{ effect: 'allow', who: { principals: ['team-*'] } }] }, 'ops', false],
    [{ rules: [{ effect: 'deny', who: { principals: ['team-*'] } }] }, 'team-a', false],
    [
      { users: { alice: { principals: ['alice@example.com'], groups: [], keys: [], authorizedKeys: [] } } },
      'alice@example.com',
      true,
    ],
    [
      { users: { alice: { principals: ['alice@example.com'], groups: [], keys: [], authorizedKeys: [] } } },
      'bob@example.com',
      false,
    ],
    [
      {
        users: { alice: { principals: ['a'], groups: [], keys: [], authorizedKeys: [] } },
        authorizedPrincipals: ['x'],
      },
      'a',
      false,
    ],
  ])('that %j names, and a certificate of %s: %s', async (settings, principals, accepted) => {
    expect((await enter(settings, principals)) !== undefined).toBe(accepted)
  })

  it.each([
    ['dev', 'dev@web', 'ops', true],
    ['dev', 'dev@web', 'limited', true],
    ['dev', 'dev@web', 'old', false],
    ['dev', 'dev@web', 'elsewhere', false],
    ['dev', 'dev@web', 'authority', false],
    ['dev', 'dev@web', 'unknown', false],
    ['dev', 'dev@web', 'dev', false],
    ['dev', 'root@web', 'ops', false],
    ['dev', 'web', 'ops', false],
  ])(
    'authorizedPrincipalsFile of %s for a login as %s with the principal %s: %s',
    async (name, login, principals, accepted) => {
      const text = [
        '# who may be dev',
        'ops # and nobody else',
        'no-pty,command="uptime -p" limited',
        'expiry-time="20200101Z" old',
        'from="10.0.0.0/8" elsewhere',
        'cert-authority authority',
        'only-on-sundays unknown',
      ].join('\n')
      mkdirSync(join(folder.path, 'principals'), { recursive: true })
      folder.file(`principals/${name}`, text)
      const identity = await enter(
        { authorizedPrincipalsFile: join(folder.path, 'principals', '%u') },
        principals,
        login,
      )
      expect(identity !== undefined).toBe(accepted)
      if (principals === 'limited') expect(identity?.restrictions).toMatchObject({ pty: false, command: 'uptime -p' })
    },
  )
})

function commandLines(): string[] {
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name))
  return pids.map((pid) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, 'utf8')
    } catch {
      return ''
    }
  })
}
