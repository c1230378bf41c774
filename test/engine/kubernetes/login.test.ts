import { test, vi } from 'vitest'
import { startKubernetes, whyNoKubernetes } from '../../support/kubernetes.ts'
import { logins } from './logins.ts'

vi.setConfig({ testTimeout: 120_000 })

if (whyNoKubernetes !== undefined) test.skip(`logins on a real node (${whyNoKubernetes})`, () => {})
else {
  logins('a real node', async () => {
    const kubernetes = await startKubernetes()
    await kubernetes.control('run', '-d', '--name', 'web-0', 'hatchway-busybox:latest')
    return {
      ...{ kubeconfig: kubernetes.kubeconfig, namespace: kubernetes.namespace, pod: 'web-0', owner: 'web-0' },
      ...{ folder: '/tmp', dev: { name: 'dev', uid: 1000 } },
      close: kubernetes.close,
    }
  })
}
