/** Containers that are made for who asks: issue 8, point 8. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { docker } from '../support/containers.ts'
import { type Gateway, startGateway } from '../support/gateway.ts'
import { type Keys, makeKeys, makeSshClient, type SshClient } from '../support/ssh.ts'
import { sleep, until } from '../support/wait.ts'

// A name of this run's own: other tests' containers are none of our business.
const T = `t${process.pid}`
const LONG = 120_000
const CONFIG = `
templates:
  ${T}:
    image: hatchway-busybox:latest
    user: dev
    workdir: /tmp
    env: { HW_TEMPLATE: 'a b=c' }
    labels: { hw.test: 'yes' }
    mounts: [{ type: tmpfs, target: /scratch }]
    network: none
    limits: { memory: 64m, cpus: 0.5, pids: 100 }
    perIdentity: 2
  ${T}-fails: { image: 'hatchway-busybox:latest', command: [sh, -c, 'echo no data; exit 3'] }
  ${T}-far: { image: '127.0.0.1:1/none:latest' }
  ${T}-never: { image: 'hatchway-none:latest', pull: never }
`

const made = async (template = T) =>
  (await docker('ps', '-a', '--filter', `label=hatchway.template=${template}`, '--format', '{{.Names}} {{.State}}'))
    .split('\n')
    .filter(Boolean)
const running = async () =>
  (await made()).filter((line) => line.endsWith(' running')).map((line) => line.split(' ')[0] ?? '')

/** Runs until release(). */
const HELD = 'until [ -e /tmp/over ]; do sleep 0.1; done'
const release = async () => {
  for (const name of await running()) await docker('exec', name, 'touch', '/tmp/over')
}

describe.each(['docker', 'cli'] as const)('containers from templates on %s', (engine) => {
  let dir: string
  let keys: Keys
  let gateway: Gateway
  const clients: SshClient[] = []

  const start = () =>
    startGateway({ keys, engine, args: ['--config', join(dir, 'c.yaml'), '--keys', join(dir, 'keys')] })
  const as = async (user: string, options: { key?: 'rsa'; extra?: string[]; at?: Gateway } = {}) => {
    const target = (options.at ?? gateway).target(user)
    const key = options.key ? keys[options.key] : target.key
    const client = await makeSshClient({ ...target, key }, ['LogLevel INFO', ...(options.extra ?? [])])
    clients.push(client)
    const exec = (command: string) => client.exec(command, { limit: 60_000 })
    return { ...client, exec, out: async (command: string) => (await exec(command)).stdout.toString().trim() }
  }

  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), 'hw-test-template-'))
    await writeFile(join(dir, 'c.yaml'), CONFIG)
    keys = await makeKeys()
    gateway = await start()
  }, LONG)
  afterAll(async () => {
    for (const client of clients) await client.close()
    await gateway?.stop()
    const left = (await docker('ps', '-aq', '--filter', `name=hatchway-${T}`)).split('\n').filter(Boolean)
    if (left.length > 0) await docker('rm', '-f', ...left)
    await keys?.close()
    await rm(dir, { recursive: true, force: true })
  }, LONG)

  test(
    '+NAME is a fresh one as the template says, and gone with the connection',
    async () => {
      const client = await as(`+${T}`, { extra: ['SetEnv LC_HW=sent'] })
      const { code, stdout, stderr } = await client.exec(
        'id -un; echo "$HW_TEMPLATE|$LC_HW"; ls /sys/class/net; stat -f -c %T /scratch; sleep 3',
      )
      expect(stderr.toString()).toMatch(
        new RegExp(`(^|\n)hatchway: making container hatchway-${T}-[0-9a-f]{8} from template ${T} ...\n$`),
      )
      expect([code, stdout.toString()]).toEqual([0, 'dev\na b=c|sent\nlo\ntmpfs\n'])
      await until('it is removed', async () => (await made()).length === 0, 30_000)
    },
    LONG,
  )

  test(
    'sessions of one connection share it, another connection has its own',
    async () => {
      const control = ['ControlMaster auto', `ControlPath ${join(dir, 'ctl')}`, 'ControlPersist 60']
      const one = await as(`dev@+${T}`, { extra: control })
      const other = await as(`dev@+${T}`)
      const first = await one.out('hostname; touch /tmp/here')
      const [again, elsewhere] = await Promise.all([one.out('hostname; ls /tmp/here'), other.out('hostname; ls /tmp')])
      expect(again).toBe(`${first}\n/tmp/here`)
      expect(elsewhere).not.toContain(first)
      expect(elsewhere).not.toContain('here')
      expect((await made()).length).toBeGreaterThan(0)
      await one.ssh(['-O', 'exit', 't'])
      await until('it is removed', async () => (await made()).length === 0, 30_000)
    },
    LONG,
  )

  test(
    'one identity has no more than its share, and the limits hold',
    async () => {
      const client = await as(`dev@+${T}`)
      const held = [client.exec(HELD), client.exec(HELD)]
      await until('both run', async () => (await running()).length === 2, 60_000)
      const limits = await docker(
        ...['inspect', '-f', '{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}} {{.HostConfig.PidsLimit}}'],
        (await running())[0] ?? '',
      )
      expect(limits).toBe(`${64 * 1024 * 1024} 500000000 100`)
      const { code, stderr } = await client.exec('true')
      expect([code, stderr.toString()]).toEqual([255, `hatchway: you have 2 containers from template ${T} already\n`])
      await release()
      expect((await Promise.all(held)).map((one) => one.code)).toEqual([0, 0])
      await until('they are removed', async () => (await made()).length === 0, 30_000)
    },
    LONG,
  )

  test(
    '~NAME is kept for its owner, and nobody else enters it',
    async () => {
      const mine = await as(`dev@~${T}`)
      const name = await mine.out('echo kept >/tmp/mine; hostname')
      await sleep(500)
      expect(await mine.out('hostname; cat /tmp/mine')).toBe(`${name}\nkept`)
      const [row = ''] = await made()
      const container = row.split(' ')[0] ?? ''
      expect(container).toMatch(new RegExp(`^hatchway-${T}-[0-9a-f]{12}$`))
      // Stopped, it is started for its owner without startOnConnect.
      await docker('kill', container)
      expect(await mine.out('cat /tmp/mine')).toBe('kept')
      const theirs = await as(`dev@~${T}`, { key: 'rsa' })
      expect(await theirs.out('hostname; ls /tmp')).not.toContain(name)
      expect(await made()).toHaveLength(2)
      const intruder = await as(`dev@${container}`, { key: 'rsa' })
      const { code, stderr } = await intruder.exec('true')
      expect(code).toBe(255)
      expect(stderr.toString()).toContain(`no container "${container}"`)
      expect(await (await as(`dev@${container}`)).out('cat /tmp/mine')).toBe('kept')
      await docker('rm', '-f', ...(await made()).map((line) => line.split(' ')[0] ?? ''))
    },
    LONG,
  )

  test('a template that is not there is refused at the login', async () => {
    const { code, stderr } = await (await as('dev@+nothing')).exec('true')
    expect(code).toBe(255)
    expect(stderr.toString()).toMatch(/hatchway: no template "nothing"[\s\S]*Permission denied/)
  })

  test(
    'an image that cannot be had is a sentence, and nothing is left',
    async () => {
      const far = await (await as(`+${T}-far`)).exec('true')
      expect([far.code, far.stderr.toString()]).toEqual([
        255,
        expect.stringMatching(
          /pulling image 127\.0\.0\.1:1\/none:latest \.\.\.\nhatchway: the engine has no image 127\.0\.0\.1:1\/none:latest and cannot pull it: .*refused.*\n$/,
        ),
      ])
      const never = await (await as(`+${T}-never`)).exec('true')
      expect(never.stderr.toString()).toMatch(/hatchway: the engine has no image hatchway-none:latest\n$/)
      expect(await made(`${T}-far`)).toEqual([])
      expect(await made(`${T}-never`)).toEqual([])
    },
    LONG,
  )

  test(
    'one whose program ends at once is told, and removed',
    async () => {
      const { code, stderr } = await (await as(`+${T}-fails`)).exec('true')
      expect(code).toBe(255)
      expect(stderr.toString()).toMatch(/hatchway: container \S+ ended at once with code 3: no data\n$/)
      await until('it is removed', async () => (await made(`${T}-fails`)).length === 0, 30_000)
    },
    LONG,
  )

  test(
    'what a killed gateway left is removed by the next, what a living one made is not',
    async () => {
      const doomed = await start()
      const left = (await as(`+${T}`, { at: doomed })).exec('sleep 300')
      const kept = (await as(`+${T}`)).exec(`${HELD}; echo finished`)
      await (await as(`~${T}`, { at: doomed })).exec('true')
      await until('all run', async () => (await running()).length === 3, 60_000)
      process.kill(doomed.pid, 'SIGKILL')
      await left
      expect(await made()).toHaveLength(3)
      const next = await start()
      try {
        await until('one is removed', async () => (await made()).length === 2, 30_000)
        await release()
        expect((await kept).stdout.toString()).toBe('finished\n')
      } finally {
        await next.stop()
      }
    },
    LONG,
  )

  test(
    'a gateway that stops takes the fresh ones with it',
    async () => {
      const stopping = await start()
      const held = (await as(`+${T}`, { at: stopping })).exec('sleep 300')
      const before = (await made()).length
      await until('it runs', async () => (await made()).length === before + 1, 30_000)
      process.kill(stopping.pid, 'SIGTERM')
      // Two signals that come at once are one.
      await until('it drains', () => stopping.log().includes('"draining"'))
      expect(await stopping.stop(20_000)).toBe(0)
      await held
      expect(await made()).toHaveLength(before)
    },
    LONG,
  )
})
