/** Two gateways with one host key and one engine, as behind one address: what is each one's own, and what is both's. */
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { docker, testName } from './containers.ts'
import { type Gateway, startGateway } from './gateway.ts'
import { type Podman, startPodman } from './podman.ts'
import { type Keys, makeKeys, makeSshClient, type SshClient } from './ssh.ts'
import { until } from './wait.ts'

// A name of this run's own: other tests' containers are none of our business.
const T = `g${process.pid}`
const LONG = 180_000
const CONFIG = `
startOnConnect: true
shutdownGrace: 0s
templates:
  ${T}: { image: 'hatchway-busybox:latest', user: dev, perIdentity: 2 }
`
/** Runs until its container has the file. */
const HELD = 'hostname; until [ -e /tmp/over ]; do sleep 0.1; done; echo survived'

/** The same promises on Docker, and on a Podman of the test's own. */
export function twoGateways(name: 'docker' | 'podman'): void {
  describe(`two gateways with one host key on ${name}`, () => {
    let home: string
    let keys: Keys
    let podman: Podman | undefined
    let endpoint = 'unix:///var/run/docker.sock'
    let control = docker
    let count = 0
    const gateways: Gateway[] = []
    const clients: SshClient[] = []

    /** @param folder its keysDirectory; made as a copy of the first one's */
    async function start(folder: string, config = 'c.yaml'): Promise<Gateway> {
      const keysDirectory = join(home, folder)
      if (folder !== 'a') {
        const filter = (path: string) => !/\/(instances|direct)\//.test(path)
        await cp(join(home, 'a'), keysDirectory, { recursive: true, force: false, filter })
      }
      const gateway = await startGateway({
        ...{ keys, engine: 'docker', env: { DOCKER_HOST: endpoint } },
        args: ['--config', join(home, config), '--keys', keysDirectory],
      })
      gateways.push(gateway)
      return gateway
    }

    async function login(gateway: Gateway, user: string, key: 'ed25519' | 'rsa' = 'ed25519', extra: string[] = []) {
      const target = { ...gateway.target(user), key: keys[key] }
      const client = await makeSshClient(target, ['LogLevel INFO', ...extra])
      clients.push(client)
      return (command: string) => client.exec(command, { limit: 90_000 })
    }

    const made = async () =>
      (await control('ps', '-a', '--filter', `label=hatchway.template=${T}`, '--format', '{{.Names}}'))
        .split('\n')
        .filter(Boolean)
    // Podman refuses while a holder is beside it: a person says --depend.
    const remove = (...all: string[]) => control('rm', '-f', ...(name === 'podman' ? ['--depend'] : []), ...all)
    const removeAll = async () => {
      const left = await made()
      if (left.length > 0) await remove(...left)
    }
    const countIs = (number: number) =>
      until(`there are ${number} containers`, async () => (await made()).length === number, 90_000)
    const release = async (container: string) => control('exec', container, 'touch', '/tmp/over')
    const state = (container: string) => control('inspect', '-f', '{{.State.Status}}', container)

    beforeAll(async () => {
      home = await mkdtemp(join(tmpdir(), 'hw-test-two-'))
      await writeFile(join(home, 'c.yaml'), CONFIG)
      await writeFile(join(home, 'stop.yaml'), `${CONFIG}stopAfter: 1s\n`)
      keys = await makeKeys()
      if (name === 'podman') {
        podman = await startPodman()
        control = podman.control
        endpoint = await podman.serve()
      }
      // Its host keys are made, which all others copy.
      await (await start('a')).stop()
    }, LONG)
    // Also where a test failed: the next one counts from nothing.
    afterEach(async () => {
      for (const client of clients.splice(0)) await client.close()
      for (const gateway of gateways.splice(0)) await gateway.stop()
      await removeAll()
    }, LONG)
    afterAll(async () => {
      await podman?.close()
      await keys?.close()
      await rm(home, { recursive: true, force: true })
    }, LONG)

    test(
      'sessions on both, one is killed: what lives stays, and what is left goes at its next start',
      async () => {
        const folder = `b${count++}`
        const [first, second] = [await start('a'), await start(folder)]
        const [theirs, ours] = [(await login(second, `+${T}`))(HELD), (await login(first, `+${T}`))(HELD)]
        await countIs(2)
        const maker = (of: string) => control('inspect', '-f', '{{index .Config.Labels "hatchway.instance"}}', of)
        const makers = await Promise.all((await made()).map(maker))
        // A third one, made of a copy while both are at work, and a fourth beside the first.
        const [copy, beside] = [await start(`b${count++}`), await start('a')]
        process.kill(second.pid, 'SIGKILL')
        expect((await theirs).code).toBe(255)
        expect(await made()).toHaveLength(2)
        const next = await start(folder)
        await countIs(1)
        const [left = ''] = await made()
        await release(left)
        const { code, stdout } = await ours
        expect([code, stdout.toString()]).toEqual([0, expect.stringMatching(/\nsurvived\n$/)])
        await countIs(0)
        for (const gateway of [first, copy, beside, next]) expect(await gateway.stop()).toBe(0)
        const leases = (await control('volume', 'ls', '-q'))
          .split('\n')
          .filter((volume) => makers.some((maker) => volume.includes(maker)))
        expect(leases).toEqual([])
      },
      LONG,
    )

    test(
      'a personal container is made once, whichever gateway its owner comes by at once; another’s is another',
      async () => {
        const both = [await start('a'), await start(`b${count++}`)]
        const logins = await Promise.all([...both, ...both].map((gateway) => login(gateway, `~${T}`)))
        const hosts = await Promise.all(logins.map((exec) => exec('hostname')))
        for (const { code, stderr } of hosts) expect([code, stderr.toString()]).toEqual([0, expect.anything()])
        expect(new Set(hosts.map(({ stdout }) => stdout.toString())).size).toBe(1)
        expect(await made()).toHaveLength(1)
        const [own = ''] = await made()
        await (await login(both[1] as Gateway, `~${T}`, 'rsa'))('true')
        expect(await made()).toHaveLength(2)
        // Removed by hand and made anew by the other gateway: who is connected is told, and who comes is in the new one.
        const [first, second] = both as [Gateway, Gateway]
        const sharing = ['ControlMaster auto', `ControlPath ${join(home, 'ctl')}`, 'ControlPersist 60']
        const connected = await login(first, `~${T}`, 'ed25519', sharing)
        const old = (await connected('hostname')).stdout.toString()
        await remove(own)
        const anew = (await (await login(second, `~${T}`))('hostname')).stdout.toString()
        expect(anew).toMatch(/^[0-9a-f]{12}\n$/)
        const told = (await connected('hostname')).stderr.toString()
        expect(told).toContain(`"~${T}" (${old.trim()}) is gone: connect again`)
        expect((await (await login(first, `~${T}`))('hostname')).stdout.toString()).toBe(anew)
        for (const gateway of both) await gateway.stop()
        await removeAll()
      },
      LONG,
    )

    test(
      'stopAfter: a session of the other gateway, by its helper, keeps the container; afterwards it is stopped',
      async () => {
        const container = testName('both')
        await control('create', '--name', container, 'hatchway-busybox:latest')
        const [first, second] = [await start('a', 'stop.yaml'), await start(`b${count++}`, 'stop.yaml')]
        try {
          const before = (await login(first, `dev@${container}`))('until [ -e /tmp/both ]; do sleep 0.1; done')
          await until('it is started', async () => (await state(container)) === 'running', 60_000)
          const long = (await login(second, `dev@${container}`))(`touch /tmp/both; ${HELD}`)
          expect((await before).code).toBe(0)
          await until('it is seen that somebody is in it', () => first.log().includes('somebody else is in it'), 60_000)
          expect(second.log()).toMatch(/"road":"guest"[^\n]*"session started"/)
          await release(container)
          expect((await long).stdout.toString()).toMatch(/survived\n$/)
          // The other one's helper stays for a minute, unused.
          await until('it is stopped', async () => (await state(container)) === 'exited', 120_000)
        } finally {
          for (const gateway of [first, second]) await gateway.stop()
          await remove(container)
        }
      },
      LONG,
    )

    // Counted in the gateway, whatever the engine.
    if (name !== 'docker') return

    test(
      'how many fresh ones an identity may have is each gateway’s own count',
      async () => {
        const [first, second] = [await start('a'), await start(`b${count++}`)]
        const [here, there] = [await login(first, `+${T}`), await login(second, `+${T}`)]
        const held = [here(HELD), here(HELD), there(HELD), there(HELD)]
        await countIs(4)
        await until('all run', async () =>
          (await Promise.all((await made()).map(state))).every((it) => it === 'running'),
        )
        for (const exec of [here, there]) {
          const { code, stderr } = await exec('true')
          expect([code, stderr.toString()]).toEqual([
            255,
            `hatchway: you have 2 containers from template ${T} already\n`,
          ])
        }
        for (const container of await made()) await release(container)
        for (const { code } of await Promise.all(held)) expect(code).toBe(0)
        await countIs(0)
        for (const gateway of [first, second]) await gateway.stop()
      },
      LONG,
    )
  })
}
