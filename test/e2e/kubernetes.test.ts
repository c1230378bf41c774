/** Logins through an API server of the tests' own, whose containers are this machine; ./hatchway test --kubernetes has a real one. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { logins } from '../engine/kubernetes/logins.ts'
import { startGateway } from '../support/gateway.ts'
import { podJson, startKubeApi } from '../support/kube-api.ts'
import { makeKeys, makeSshClient } from '../support/ssh.ts'

if (process.getuid?.() !== 0) test.skip('logins to a pod that runs as root (only root can)', () => {})
else
  for (const protocol of ['v5', 'v4']) {
    logins(`an API server that speaks ${protocol}`, async () => {
      const folder = await mkdtemp(join(tmpdir(), 'hw-test-kube-'))
      const api = await startKubeApi()
      api.protocols = [`${protocol}.channel.k8s.io`]
      api.token = 'a-token'
      const ownerReferences = [{ kind: 'StatefulSet', name: 'web', controller: true }]
      api.set(podJson('web-0', { metadata: { ownerReferences } }))
      const kubeconfig = join(folder, 'kubeconfig')
      await writeFile(join(folder, 'token'), 'a-token')
      await writeFile(
        kubeconfig,
        JSON.stringify({
          'current-context': 'c',
          clusters: [{ name: 'c', cluster: { server: api.access.server.href } }],
          users: [{ name: 'u', user: { tokenFile: 'token' } }],
          contexts: [{ name: 'c', context: { cluster: 'c', user: 'u' } }],
        }),
      )
      return {
        ...{ kubeconfig, namespace: 'shop', pod: 'web-0', owner: 'web', folder: '/tmp' },
        dev: { name: '54321', uid: 54_321 },
        async close() {
          await api.close()
          await rm(folder, { recursive: true, force: true })
        },
      }
    })
  }

test.skipIf(process.getuid?.() !== 0)(
  'a pod without a shell: who may debug is in a container beside it, others are not',
  async () => {
    const folder = await mkdtemp(join(tmpdir(), 'hw-test-kube-'))
    const api = await startKubeApi()
    api.withoutShell.add('main')
    api.set(podJson('bare'))
    const kubeconfig = join(folder, 'kubeconfig')
    const cluster = {
      clusters: [{ name: 'c', cluster: { server: api.access.server.href } }],
      users: [{ name: 'u', user: {} }],
    }
    const contexts = [{ name: 'c', context: { cluster: 'c', user: 'u' } }]
    await writeFile(kubeconfig, JSON.stringify({ 'current-context': 'c', ...cluster, contexts }))
    const keys = await makeKeys()
    const logIn = async (actions: object) => {
      const config = join(folder, 'hatchway.json')
      await writeFile(config, JSON.stringify({ rules: [{ who: { identities: ['*'] }, users: ['root'], actions }] }))
      const gateway = await startGateway({
        ...{ keys, engine: 'kubernetes', args: ['--config', config] },
        env: {
          ...{ HATCHWAY_ENGINE_KUBECONFIG: kubeconfig, HATCHWAY_ENGINE_NAMESPACES: 'shop' },
          HATCHWAY_ENGINE_DEBUG_IMAGE: 'debug:1',
        },
      })
      const client = await makeSshClient(gateway.target('root@bare.shop'))
      const results = [await client.exec('echo $((6*7)); exit 3'), await client.exec('true')]
      await client.close()
      await gateway.stop()
      return results.map(({ code, stdout, stderr }) => ({ code, out: stdout.toString(), err: stderr.toString() }))
    }
    try {
      const [refused] = await logIn({ shell: true, exec: true })
      expect(refused).toMatchObject({
        code: 255,
        err: expect.stringContaining('a debug container in main.bare.shop is not permitted'),
      })
      const [first, second] = await logIn({ exec: true, debug: true })
      expect(first).toMatchObject({ code: 3, out: '42\n', err: expect.stringContaining('which stays in its pod') })
      expect(second).toEqual({ code: 0, out: '', err: '' })
      expect((await logIn({ exec: true }))[0]).toMatchObject({ code: 255 })
    } finally {
      await keys.close()
      await api.close()
      await rm(folder, { recursive: true, force: true })
    }
  },
  120_000,
)
