import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import { type Client, T } from './client.ts'
import { suite } from './suite.ts'

/** A name server on 127.0.0.1:53 needs a network of its own, and its own /etc/hosts and resolv.conf. */
function namespaces(): string | undefined {
  try {
    execFileSync('unshare', ['-mn', 'sh', '-c', 'ip link set lo up && mount -t tmpfs none /mnt'], { stdio: 'pipe' })
    return undefined
  } catch {
    return 'no right to unshare network and mounts'
  }
}
const missing = namespaces()
test.runIf(missing)(`resolver tests are skipped: ${missing}`, () => {})

if (!missing)
  suite('resolver', ({ run, start, scratch, build }) => {
    async function inside(resolv: string, hosts = ''): Promise<Client> {
      const folder = scratch()
      writeFileSync(join(folder, 'resolv.conf'), resolv)
      writeFileSync(join(folder, 'hosts'), hosts)
      const setup = `ip link set lo up; mount --bind ${folder}/resolv.conf /etc/resolv.conf; mount --bind ${folder}/hosts /etc/hosts; exec "$0" "$@"`
      const client = await start({ wrap: ['unshare', '-mn', 'sh', '-c', setup, ...build.wrap] })
      const servers = client.spawn([process.execPath, fileURLToPath(new URL('dns-server.mjs', import.meta.url))])
      await servers.waitText('ready', 15_000)
      return client
    }
    const port = 7777 // the echo server of dns-server.mjs, on all of the namespace's loopback addresses
    async function reaches(client: Client, name: string): Promise<string> {
      const channel = client.connect(name, port)
      const first = await client.until(() => channel.frames[0], `an answer for ${name}`, 15_000)
      if (first.type === T.FAIL) return `errno ${channel.failed?.errno} stage ${channel.failed?.stage}`
      const text = await channel.waitText('\n')
      channel.close()
      return text.trim()
    }

    run('A, AAAA, CNAME chains and several addresses', async () => {
      const client = await inside('nameserver 127.0.0.1\n')
      expect(await reaches(client, 'four.test')).toBe('127.0.0.4')
      expect(await reaches(client, 'six.test')).toBe('::1')
      expect(await reaches(client, 'alias.test')).toBe('127.0.0.4')
      expect(await reaches(client, 'FOUR.test')).toBe('127.0.0.4')
      // 127.0.0.99 refuses (nothing listens there on this port), the next one answers.
      expect(await reaches(client, 'several.test')).toBe('127.0.0.4')
    })

    run('no such name, a name without addresses, and what is no name', async () => {
      const client = await inside('nameserver 127.0.0.1\n')
      for (const name of [
        'missing.test',
        'nothing.test',
        'a..b',
        '.',
        '',
        'x'.repeat(64),
        'y.'.repeat(200),
        'spa ce',
      ]) {
        expect([name, await reaches(client, name)]).toEqual([name, 'errno 2 stage 3'])
      }
    })

    run('a server that fails, refuses or is silent is followed by the next', async () => {
      const client = await inside('nameserver 127.0.0.53\nnameserver 127.0.0.1\noptions timeout:1\n')
      expect(await reaches(client, 'four.test')).toBe('127.0.0.4') // .53: nobody is there
      expect(await reaches(client, 'servfail.test')).toBe('errno 5 stage 3')
    })

    run('silence is ETIMEDOUT, within the limits of resolv.conf', async () => {
      const client = await inside('nameserver 127.0.0.1\noptions timeout:1 attempts:2\n')
      const start = performance.now()
      expect(await reaches(client, 'silent.test')).toBe('errno 110 stage 3')
      expect(performance.now() - start).toBeLessThan(6000)
    })

    run('a server that is silent for AAAA only costs half a second', async () => {
      const client = await inside('nameserver 127.0.0.1\n')
      const start = performance.now()
      expect(await reaches(client, 'half.test')).toBe('127.0.0.4')
      expect(performance.now() - start).toBeLessThan(4000)
    })

    run('hostile answers are not believed and do no harm', async () => {
      const client = await inside('nameserver 127.0.0.1\noptions timeout:1 attempts:1\n')
      expect(await reaches(client, 'forged.test')).toBe('127.0.0.4') // wrong id, wrong question first
      for (const name of ['garbage.test', 'loop.test', 'short.test', 'huge.test']) {
        expect(await reaches(client, name)).toMatch(/errno (110|2|5) stage 3/)
      }
      expect(await reaches(client, 'four.test')).toBe('127.0.0.4')
    })

    run('search domains by ndots, and a dot at the end against them', async () => {
      const client = await inside('search first.example test\nnameserver 127.0.0.1\noptions ndots:2\n')
      expect(await reaches(client, 'four')).toBe('127.0.0.4')
      expect(await reaches(client, 'four.')).toBe('errno 2 stage 3')
      expect(await reaches(client, 'four.test')).toBe('127.0.0.4')
    })

    run('/etc/hosts comes first, case and comments and all', async () => {
      const hosts =
        '# comment\n127.0.0.4\tInHosts four-again # 127.0.0.9 commented\n::1 six-in-hosts\n127.0.0.4 four.hosts'
      const client = await inside('nameserver 127.0.0.1\noptions timeout:1 attempts:1\n', hosts)
      expect(await reaches(client, 'inhosts')).toBe('127.0.0.4')
      expect(await reaches(client, 'four-again')).toBe('127.0.0.4')
      expect(await reaches(client, 'six-in-hosts')).toBe('::1')
      expect(await reaches(client, 'four.hosts')).toBe('127.0.0.4')
      expect(await reaches(client, 'commented')).toMatch(/errno/)
    })

    run('localhost is loopback whatever the files say', async () => {
      const client = await inside('nameserver 127.0.0.1\n', '127.0.0.9 localhost\n')
      expect(await reaches(client, 'localhost')).toBe('127.0.0.1')
      expect(await reaches(client, 'app.localhost')).toBe('127.0.0.1')
    })

    run('CLOSE ends a lookup; sixty at once are served or refused, not lost', async () => {
      const client = await inside('nameserver 127.0.0.1\noptions timeout:1 attempts:1\n')
      const silent = client.connect('silent.test', port)
      await client.ping(1n)
      silent.close()
      await silent.closed()
      const many = Array.from({ length: 60 }, () => client.connect('four.test', port))
      await client.until(() => many.every((channel) => channel.frames.length > 0), 'sixty answers', 15_000)
      const failed = many.filter((channel) => channel.failed).map((channel) => channel.failed)
      expect(failed.every((failure) => failure?.errno === 11 && failure.stage === 3)).toBe(true)
      expect(failed.length).toBeLessThan(40)
    })
  })
