import { it, vi } from 'vitest'
import { startKubernetes, whyNoKubernetes } from '../../support/kubernetes.ts'
import { contract } from '../contract.ts'
import { KUBERNETES_SKIPS } from '../skips.ts'

// A pod takes a second or two to come, and as many to go.
vi.setConfig({ testTimeout: 120_000 })

if (whyNoKubernetes !== undefined) it.skip(`engine kubernetes (${whyNoKubernetes})`, () => {})
else {
  contract({
    name: 'engine kubernetes',
    skip: KUBERNETES_SKIPS,
    async open() {
      const kubernetes = await startKubernetes()
      return {
        engine: await kubernetes.engine(),
        control: kubernetes.control,
        // The kernels': of three connections, each with as much as it may hold (tcp_wmem and tcp_rmem: 4 and 32 MB).
        heldInputBytes: 128 * 1024 * 1024,
        nameOf: (name) => `main.${name}.${kubernetes.namespace}`,
        close: kubernetes.close,
      }
    },
  })
}
