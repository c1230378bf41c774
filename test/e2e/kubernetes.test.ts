/** Logins through an API server of the tests' own, whose containers are this machine; ./hatchway test --kubernetes has a real one. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'vitest'
import { logins } from '../engine/kubernetes/logins.ts'
import { podJson, startKubeApi } from '../support/kube-api.ts'

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
