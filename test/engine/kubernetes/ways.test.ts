/** Ways to the API server of a real node that delay, lose and cut, and proofs that are good for a while. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { type ClusterAccess, readClusterAccess } from '../../../src/engine/kubernetes/kubeconfig.ts'
import { openBadWay } from '../../support/bad-way.ts'
import { type Kubernetes, startKubernetes, whyNoKubernetes } from '../../support/kubernetes.ts'
import { freePort } from '../../support/port.ts'
import { run } from '../../support/run.ts'
import { until } from '../../support/wait.ts'
import { runIn } from '../run.ts'

vi.setConfig({ testTimeout: 180_000, hookTimeout: 180_000 })

const soon = () => AbortSignal.timeout(30_000)
/** Of `seq 1 2000000`. */
const SEQ_BYTES = 14_888_896
const rounds = Number(process.env.HATCHWAY_TEST_KUBERNETES_ROUNDS ?? 5)
const noHaproxy = (await run('sh', ['-c', 'command -v haproxy'])).code !== 0

describe.skipIf(whyNoKubernetes !== undefined)(`ways to a node (${whyNoKubernetes ?? 'it runs'})`, () => {
  let kubernetes: Kubernetes
  let id: string
  let access: ClusterAccess

  beforeAll(async () => {
    kubernetes = await startKubernetes()
    access = await readClusterAccess({ kubeconfig: kubernetes.kubeconfig })
    id = await kubernetes.control('run', '-d', '--name', 'steady', 'hatchway-busybox:latest')
  })
  afterAll(() => kubernetes?.close())

  const by = async (over: Parameters<Kubernetes['kubeconfigOf']>[0]) =>
    readClusterAccess({ kubeconfig: await kubernetes.kubeconfigOf(over) })

  test(
    'output is complete, or the program’s end is not told, where packets are late and lost',
    async () => {
      const way = await openBadWay(access.server.origin, 5)
      try {
        const engine = await kubernetes.engine({ access: await by({ server: way.server }) })
        for (let round = 0; round < rounds; round++) {
          const ran = await runIn(engine, id, ['seq', '1', '2000000'], { stdin: null, limit: 60_000 })
          const end = ran.out.subarray(-9).toString()
          expect([round, ran.out.length, end, ran.status]).toEqual([round, SEQ_BYTES, '\n2000000\n', { code: 0 }])
        }
      } finally {
        await way.close()
      }
    },
    60_000 + rounds * 20_000,
  )

  test.skipIf(noHaproxy)(
    'a proxy that cuts idle streams does not cut one that is pinged, and what it cuts is no exit code',
    async () => {
      const folder = await mkdtemp(join(tmpdir(), 'hw-test-haproxy-'))
      const [port, config] = [await freePort(), join(folder, 'haproxy.cfg')]
      await writeFile(
        config,
        `defaults
  mode tcp
  timeout connect 5s
  timeout client 2s
  timeout server 2s
  timeout tunnel 2s
listen api
  bind 127.0.0.1:${port}
  server node ${access.server.host}\n`,
      )
      const proxy = spawn('haproxy', ['-db', '-f', config], { stdio: 'ignore' })
      const ended = once(proxy, 'exit')
      try {
        const through = await by({ server: `https://127.0.0.1:${port}` })
        const silent = async (pingMs: number) => {
          const engine = await kubernetes.engine({ access: through, pingMs })
          await until('it lets through', () => engine.info(soon()).then(Boolean, () => false))
          return runIn(engine, id, ['sh', '-c', 'sleep 6; echo late; exit 3'], { stdin: null })
        }
        const [pinged, cut] = await Promise.all([silent(500), silent(60_000)])
        expect([pinged.text, pinged.status]).toEqual(['late\n', { code: 3 }])
        expect([cut.text, cut.status, cut.error?.code]).toEqual(['', undefined, 'ENGINE_LOST'])
      } finally {
        proxy.kill()
        await ended
        await rm(folder, { recursive: true })
      }
    },
  )

  test('a token that ends in the middle is read again; what runs goes on', async () => {
    const secret = async (name: string): Promise<string> => {
      const annotations = { 'kubernetes.io/service-account.name': 'default' }
      const object = { apiVersion: 'v1', kind: 'Secret', type: 'kubernetes.io/service-account-token' }
      await kubernetes.kubectl(['apply', '-f', '-'], JSON.stringify({ ...object, metadata: { name, annotations } }))
      const read = () => kubernetes.kubectl(['get', 'secret', name, '-o', 'jsonpath={.data.token}'])
      return Buffer.from(
        await until('the token is there', async () => (await read()) || undefined),
        'base64',
      ).toString()
    }
    const account = `${kubernetes.namespace}:default`
    await kubernetes.kubectl([
      'create',
      'rolebinding',
      'account',
      '--role=hatchway-exec',
      `--serviceaccount=${account}`,
    ])
    const folder = await mkdtemp(join(tmpdir(), 'hw-test-token-'))
    const tokenFile = join(folder, 'token')
    try {
      await writeFile(tokenFile, await secret('first'))
      const second = await secret('second')
      const engine = await kubernetes.engine({ access: await by({ user: { tokenFile } }) })
      const echo = () => runIn(engine, id, ['echo', 'in'], { stdin: null })
      expect((await echo()).text).toBe('in\n')
      const ran = await runIn(engine, id, ['sh', '-c', 'echo ready; sleep 30 & wait; exit 4'], {
        stdin: null,
        limit: 60_000,
        async during(_exec, { out }) {
          await until('it runs', () => out().includes('ready'))
          await kubernetes.kubectl(['delete', 'secret', 'first'])
          // An API server remembers for ten seconds that it was good.
          const refused = await until('it is good no more', async () => (await echo()).error, 30_000, 500)
          expect([refused.code, refused.message]).toEqual([
            'ENGINE_UNAVAILABLE',
            'the container engine does not know the gateway (its credentials are not accepted)',
          ])
          await writeFile(tokenFile, second)
          expect((await echo()).text).toBe('in\n')
        },
      })
      expect(ran.status).toEqual({ code: 4 })
    } finally {
      await rm(folder, { recursive: true })
    }
  })

  test('a namespace in which exec is forbidden has no pods for anybody, and its neighbour has', async () => {
    const other = await startKubernetes()
    try {
      const there = await other.control('run', '-d', '--name', 'hidden', 'hatchway-busybox:latest')
      const engine = await kubernetes.engine({ namespaces: [kubernetes.namespace, other.namespace] })
      const names = async () => (await engine.list(soon())).map(({ name }) => name)
      expect(await names()).toEqual([`main.steady.${kubernetes.namespace}`, `main.hidden.${other.namespace}`])
      await other.kubectl(['delete', 'rolebinding', 'hatchway-exec'])
      await until('the API server knows', async () => (await runIn(engine, there, ['true'])).error !== undefined)
      expect((await runIn(engine, there, ['true'])).error?.message).toBe(`no container ${there}`)
      expect(await names()).toEqual([`main.steady.${kubernetes.namespace}`])
      expect((await runIn(engine, id, ['echo', 'in'], { stdin: null })).text).toBe('in\n')
    } finally {
      await other.close()
    }
  })

  test('a stream on which nobody takes anything for a while loses nothing', async () => {
    const engine = await kubernetes.engine({ pingMs: 300 })
    let size = 0
    let taking = false
    const sink = {
      write(_fd: 1 | 2, chunk: Buffer) {
        size += chunk.length
        return taking
      },
    }
    const spec = { argv: ['seq', '1', '2000000'] as const, user: '', cwd: '', env: [] }
    const exec = await engine.exec(id, spec, sink, soon())
    await delay(3000)
    expect(size).toBeLessThan(1024 * 1024)
    taking = true
    exec.resume()
    expect(await exec.exit).toEqual({ code: 0 })
    expect(size).toBe(SEQ_BYTES)
  })
})
