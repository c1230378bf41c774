/** What becomes of a person's session when something happens to the node, to the API server or to the pod under it. */
import { randomBytes } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { readClusterAccess } from '../../../src/engine/kubernetes/kubeconfig.ts'
import { openBadWay } from '../../support/bad-way.ts'
import { type Gateway, startGateway } from '../../support/gateway.ts'
import { type Kubernetes, podSpec, startKubernetes, whyNoKubernetes } from '../../support/kubernetes.ts'
import { run } from '../../support/run.ts'
import { type Keys, makeKeys, makeSshClient, type SshClient } from '../../support/ssh.ts'
import { until } from '../../support/wait.ts'

vi.setConfig({ testTimeout: 120_000, hookTimeout: 180_000 })

const noRsync = (await run('sh', ['-c', 'command -v rsync'])).code !== 0

describe.skipIf(whyNoKubernetes !== undefined)(`sessions in pods of a node (${whyNoKubernetes ?? 'it runs'})`, () => {
  let kubernetes: Kubernetes
  let keys: Keys
  let gateway: Gateway
  const closers: (() => Promise<unknown>)[] = []

  beforeAll(async () => {
    kubernetes = await startKubernetes()
    keys = await makeKeys()
    gateway = await serve(kubernetes.kubeconfig, [kubernetes.namespace])
    await kubernetes.control('run', '-d', '--name', 'steady', 'hatchway-debian:latest')
  })
  afterAll(async () => {
    for (const close of closers.reverse()) await close()
    await keys?.close()
    await kubernetes?.close()
  })

  async function serve(kubeconfig: string, namespaces: readonly string[]): Promise<Gateway> {
    const env = { HATCHWAY_ENGINE_KUBECONFIG: kubeconfig, HATCHWAY_ENGINE_NAMESPACES: namespaces.join(',') }
    const started = await startGateway({ keys, engine: 'kubernetes', env })
    closers.push(() => started.stop())
    return started
  }

  async function to(pod: string, user = 'dev', by = gateway): Promise<SshClient> {
    const client = await makeSshClient(by.target(`${user}@${pod}.${kubernetes.namespace}`))
    closers.push(() => client.close())
    return client
  }

  /** A session under which `act` happens when it has said that it is there. */
  async function under(client: SshClient, act: () => Promise<unknown>) {
    const terminal = client.terminal(['-tt', 't', 'echo rea""dy; exec sleep 100'])
    await terminal.expect('ready', 30_000)
    await act()
    return { code: await terminal.exit(60_000), shown: terminal.output() }
  }

  test('stdin that ends long before the output does cuts neither the output nor the exit code', async () => {
    const script = 'cat >/dev/null; i=0; while [ $i -lt 100 ]; do i=$((i+1)); echo $i; sleep 0.1; done; exit 7'
    const ran = await (await to('steady')).exec(script, { input: 'in\n', limit: 60_000 })
    const lines = Array.from({ length: 100 }, (_, index) => `${index + 1}\n`).join('')
    expect([ran.code, ran.stdout.toString(), ran.stderr.toString()]).toEqual([7, lines, ''])
  })

  test('two million lines come whole on a way that delays and loses', async () => {
    const { server } = await readClusterAccess({ kubeconfig: kubernetes.kubeconfig })
    const way = await openBadWay(server.origin, 5)
    try {
      const by = await serve(await kubernetes.kubeconfigOf({ server: way.server }), [kubernetes.namespace])
      const client = await to('steady', 'dev', by)
      for (let round = 0; round < 3; round++) {
        const ran = await client.exec('seq 1 2000000', { limit: 60_000 })
        expect([ran.code, ran.stdout.length, ran.stderr.toString()]).toEqual([0, 14_888_896, ''])
      }
      await by.stop()
    } finally {
      await way.close()
    }
  })

  test.each(['apiserver', 'kubelet'])(
    'a session over a restart of the %s is told, and the next one works',
    async (what) => {
      const client = await to('steady')
      const ended = await under(client, async () => {
        await kubernetes.nodeDo('stop', what)
        await kubernetes.nodeDo(what)
      })
      expect(ended.code).toBe(255)
      expect(ended.shown).toMatch(/hatchway: .*went away/)
      const again = await until(
        'it can be entered again',
        async () => {
          const ran = await client.exec('echo in', { limit: 30_000 })
          return ran.code === 0 ? ran : undefined
        },
        40_000,
      )
      expect(again.stdout.toString()).toBe('in\n')
    },
  )

  test.skipIf(noRsync)('a pod that is deleted under rsync ends it with a sentence', async () => {
    await kubernetes.control('run', '-d', '--name', 'doomed', 'hatchway-debian:latest')
    const client = await to('doomed')
    const file = join(client.dir, 'large')
    await writeFile(file, randomBytes(30_000_000))
    const shell = `ssh -F ${client.config}`
    const copying = run('rsync', ['--bwlimit=1000', '-e', shell, file, 't:/tmp/large'], { limit: 90_000 })
    await until(
      'it copies',
      async () => (await client.exec('ls -A /tmp')).stdout.toString().includes('.large.'),
      30_000,
    )
    await kubernetes.kubectl(['delete', 'pod', 'doomed', '--grace-period=1'])
    const { code, timedOut, stderr } = await copying
    expect([code === 0, timedOut]).toEqual([false, false])
    expect(stderr.toString()).toContain(`hatchway: container main.doomed.${kubernetes.namespace} was removed`)
  })

  test('a namespace in which exec is forbidden is one of no pods to a login', async () => {
    const other = await startKubernetes()
    try {
      await other.kubectl(['apply', '-f', '-'], JSON.stringify(podSpec('hidden')))
      await other.kubectl(['wait', '--for=condition=Ready', 'pod/hidden', '--timeout=80s'])
      await other.kubectl(['delete', 'rolebinding', 'hatchway-exec'])
      const by = await serve(kubernetes.kubeconfig, [kubernetes.namespace, other.namespace])
      const client = async (user: string) => {
        const made = await makeSshClient(by.target(user))
        closers.push(() => made.close())
        return made
      }
      const hidden = await (await client(`@hidden.${other.namespace}`)).exec('true')
      const missing = await (await client(`@missing.${kubernetes.namespace}`)).exec('true')
      // As one that there is not: not even its refusal tells that it is there.
      const anonymous = ({ code, stderr }: typeof hidden) => [
        code,
        stderr.toString().replaceAll(/@?\S+\.hw-test-\S+/g, 'NAME'),
      ]
      expect(anonymous(hidden)).toEqual(anonymous(missing))
      expect(hidden.code).toBe(255)
      expect((await (await client(`@steady.${kubernetes.namespace}`)).exec('echo in')).stdout.toString()).toBe('in\n')
      await by.stop()
    } finally {
      await other.close()
    }
  })
})
