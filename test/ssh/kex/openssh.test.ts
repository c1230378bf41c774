/** The exchanges with real clients: this machine's OpenSSH, and Debian's 10.0 and newer in roots of their own. */
import { createHash, randomBytes } from 'node:crypto'
import { execa } from 'execa'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Finished, run } from '../../support/containers.ts'
import { type KexServer, startKexServer } from './server.ts'

const MLKEM = 'mlkem768x25519-sha256'
const SNTRUP = 'sntrup761x25519-sha512'
const SNTRUP_OPENSSH = 'sntrup761x25519-sha512@openssh.com'
const SCRIPT = new URL('../../../scripts/openssh10.sh', import.meta.url).pathname
const HOST: Client = await client("this machine's OpenSSH", async () => '/')
const TRIXIE = await client('OpenSSH 10.0 (Debian trixie)', () => debianRoot('trixie'))
const FORKY = await client('OpenSSH 10.1 or newer (Debian forky)', () => debianRoot('forky'))

let server: KexServer
beforeAll(async () => {
  server = await startKexServer()
})
afterAll(() => server.close())

describe.for([HOST, TRIXIE, FORKY])('$label', ({ root, why, names }) => {
  describe.each(names)('with %s', (name) => {
    test('logs in and runs a command', async (context) => {
      if (why) context.skip(why)
      const before = server.negotiated.length
      const done = await ssh(server, root, [`-oKexAlgorithms=${name}`, 't', 'hello'])
      expect(done.stdout.toString()).toBe('hello')
      expect(done.code).toBe(0)
      expect(server.negotiated.slice(before)).toEqual([name])
    })

    test('rekeys again and again while data goes both ways, and loses none', async (context) => {
      if (why) context.skip(why)
      const before = server.negotiated.length
      const input = randomBytes(1024 * 1024)
      const done = await ssh(server, root, [`-oKexAlgorithms=${name}`, '-oRekeyLimit=256K', 't', 'cat'], input)
      expect(sum(done.stdout)).toBe(sum(input))
      expect(done.code).toBe(0)
      const exchanges = server.negotiated.slice(before)
      expect(exchanges.length).toBeGreaterThan(3)
      expect(new Set(exchanges)).toEqual(new Set([name]))
    })

    test('rekeys when the server asks for it', async (context) => {
      if (why) context.skip(why)
      const asking = await startKexServer({ rekeyEvery: 100 })
      try {
        const input = randomBytes(8 * 1024 * 1024)
        const done = await ssh(asking, root, [`-oKexAlgorithms=${name}`, 't', 'cat'], input)
        expect(sum(done.stdout)).toBe(sum(input))
        expect(done.code).toBe(0)
        expect(asking.negotiated.length).toBeGreaterThan(1)
        expect(new Set(asking.negotiated)).toEqual(new Set([name]))
      } finally {
        await asking.close()
      }
    })
  })
})

test.for([HOST, TRIXIE, FORKY])('$label takes a hybrid of its own accord', async ({ root, why, names }, context) => {
  if (why) context.skip(why)
  const before = server.negotiated.length
  await ssh(server, root, ['t', 'hello'])
  expect(server.negotiated.slice(before)).toEqual(names.slice(0, 1))
})

describe('the post-quantum warning of OpenSSH 10.1', () => {
  const { root, why } = FORKY

  test('is not given', async (context) => {
    if (why) context.skip(why)
    const done = await ssh(server, root, ['t', 'hello'])
    expect(done.stdout.toString()).toBe('hello')
    expect(done.stderr.toString()).not.toContain('post-quantum')
  })

  test('would be given by a server without, so this client does have it', async (context) => {
    if (why) context.skip(why)
    const classic = await startKexServer({ kex: ['curve25519-sha256'] })
    try {
      const done = await ssh(classic, root, ['t', 'hello'])
      expect(done.stderr.toString()).toContain('WARNING: connection is not using a post-quantum key exchange algorithm')
    } finally {
      await classic.close()
    }
  })
})

function ssh({ port }: KexServer, root: string, args: readonly string[], input?: Buffer): Promise<Finished> {
  const options = [
    ...['-F', 'none', '-p', String(port), '-l', 'anyone'],
    ...['-oHostName=127.0.0.1', '-oBatchMode=yes', '-oStrictHostKeyChecking=no'],
    ...['-oUserKnownHostsFile=/dev/null', '-oGlobalKnownHostsFile=/dev/null'],
  ]
  // The host's own root too: chroot of / is the plain program.
  return run('chroot', [root, 'ssh', ...options, ...args], { limit: 25_000, ...(input ? { input } : {}) })
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
