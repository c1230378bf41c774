/** The exchanges with real clients: this machine's OpenSSH, and Debian's 10.0 and newer in roots of their own. */
import { createHash, randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import path from 'node:path'
import { execa } from 'execa'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { run } from '../../support/run.ts'
import { startServer, type TestServer } from '../support.ts'
import { startKexServer } from './server.ts'

const MLKEM = 'mlkem768x25519-sha256'
const SNTRUP = 'sntrup761x25519-sha512'
const SNTRUP_OPENSSH = 'sntrup761x25519-sha512@openssh.com'
const SCRIPT = new URL('../../../scripts/openssh10.sh', import.meta.url).pathname
const HOST: Client = await client("this machine's OpenSSH", async () => '/')
const TRIXIE = await client('OpenSSH 10.0 (Debian trixie)', () => debianRoot('trixie'))
const FORKY = await client('OpenSSH 10.1 or newer (Debian forky)', () => debianRoot('forky'))

let server: TestServer
beforeAll(async () => {
  server = await startServer()
})
afterAll(() => server.close())

describe.for([HOST, TRIXIE, FORKY])('$label', ({ root, why, names }) => {
  describe.each(names)('with %s', (name) => {
    test('logs in and runs a command', async (context) => {
      if (why) context.skip(why)
      const done = await echo(server, root, Buffer.from('hello'), `-oKexAlgorithms=${name}`)
      expect(done.output.toString()).toBe('hello')
      expect(done.code).toBe(0)
      expect(done.exchanges).toEqual([name])
    })

    test('rekeys again and again while data goes both ways, and loses none', async (context) => {
      if (why) context.skip(why)
      const input = randomBytes(4 * 1024 * 1024)
      // Below 512K the client takes the bytes of a full packet for blocks (packet.c) and rekeys for every one of them.
      const done = await echo(server, root, input, `-oKexAlgorithms=${name}`, '-oRekeyLimit=1M')
      expect(sum(done.output)).toBe(sum(input))
      expect(done.code).toBe(0)
      expect(done.exchanges.length).toBeGreaterThan(2)
      expect(new Set(done.exchanges)).toEqual(new Set([name]))
    })

    test('rekeys when the server asks for it', async (context) => {
      if (why) context.skip(why)
      const asking = await startServer({ limits: { rekeyLimit: { bytes: 256 * 1024, milliseconds: 0 } } })
      try {
        const input = randomBytes(1024 * 1024)
        const done = await echo(asking, root, input, `-oKexAlgorithms=${name}`)
        expect(sum(done.output)).toBe(sum(input))
        expect(done.code).toBe(0)
        expect(done.exchanges.length).toBeGreaterThan(2)
        expect(new Set(done.exchanges)).toEqual(new Set([name]))
      } finally {
        await asking.close()
      }
    })
  })
})

test.for([HOST, TRIXIE, FORKY])('$label takes a hybrid of its own accord', async ({ root, why, names }, context) => {
  if (why) context.skip(why)
  const { exchanges } = await echo(server, root, Buffer.from('hello'))
  expect(exchanges).toEqual(names.slice(0, 1))
})

describe('the post-quantum warning of OpenSSH 10.1', () => {
  const { root, why } = FORKY

  test('is not given', async (context) => {
    if (why) context.skip(why)
    const { output, log } = await echo(server, root, Buffer.from('hello'))
    expect(output.toString()).toBe('hello')
    expect(log).not.toContain('** WARNING')
  })

  test('would be given by a server without, so this client does have it', async (context) => {
    if (why) context.skip(why)
    const classic = await startKexServer({ kex: ['curve25519-sha256'] })
    try {
      const { log } = await echo({ port: classic.port, privateKey: server.privateKey }, root, Buffer.from('hello'))
      expect(log).toContain('** WARNING: connection is not using a post-quantum key exchange algorithm')
    } finally {
      await classic.close()
    }
  })
})

interface Echo {
  readonly code: number
  readonly output: Buffer
  readonly log: string
  /** The name of every exchange, as the client saw it. */
  readonly exchanges: readonly string[]
}

/** What the real client gets back of what it sends. */
async function echo(
  { port, privateKey }: Pick<TestServer, 'port' | 'privateKey'>,
  root: string,
  input: Buffer,
  ...options: readonly string[]
): Promise<Echo> {
  const folder = await mkdtemp(path.join(root, 'tmp/hw-test-kex-'))
  try {
    const key = path.join(folder, 'key')
    await writeFile(key, privateKey, { mode: 0o600 })
    const args = [
      ...['-v', '-F', 'none', '-p', String(port), '-l', 'dev@web', '-i', path.join('/', path.relative(root, key))],
      ...['-oBatchMode=yes', '-oIdentitiesOnly=yes', '-oIdentityAgent=none', '-oStrictHostKeyChecking=no'],
      ...['-oUserKnownHostsFile=/dev/null', '-oGlobalKnownHostsFile=/dev/null'],
    ]
    // Of this machine as well: chroot to / is the program itself.
    const { code, stdout, stderr } = await run('chroot', [root, 'ssh', ...args, ...options, '127.0.0.1', 'cat'], {
      input,
      limit: 25_000,
    })
    const log = stderr.toString()
    const exchanges = [...log.matchAll(/kex: algorithm: (\S+)/g)].map(([, name = '']) => name)
    return { code, output: stdout, log, exchanges }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

interface Client {
  readonly label: string
  readonly root: string
  /** Why it cannot be had here. */
  readonly why: string | undefined
  /** The hybrids it knows, its favourite first. */
  readonly names: readonly string[]
}

async function client(label: string, find: () => Promise<string>): Promise<Client> {
  const all = [MLKEM, SNTRUP, SNTRUP_OPENSSH]
  try {
    const root = await find()
    const { stdout } = await execa('chroot', [root, 'ssh', '-Q', 'kex'])
    const known = stdout.split('\n')
    return { label, root, why: undefined, names: all.filter((name) => known.includes(name)) }
  } catch (error) {
    return { label, root: '/', why: error instanceof Error ? error.message : String(error), names: all }
  }
}

/** Made by a script that keeps it: the first time downloads a small Debian. */
async function debianRoot(suite: string): Promise<string> {
  const { stdout } = await execa(SCRIPT, [suite], { timeout: 600_000 })
  return stdout
}

function sum(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex')
}
