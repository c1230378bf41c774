import { it, vi } from 'vitest'
import { createContainerdEngine } from '../../src/engine/containerd/containerd.ts'
import { CONTAINERD_NAMESPACE, startContainerd, whyNoContainerd } from '../support/containerd.ts'
import { contract } from './contract.ts'
import { CONTAINERD_SKIPS } from './skips.ts'

vi.setConfig({ testTimeout: 60_000 })

const why = await whyNoContainerd()
if (why !== undefined) it.skip(`engine containerd (${why})`, () => {})
else {
  contract({
    name: 'engine containerd',
    skip: CONTAINERD_SKIPS,
    async open() {
      const containerd = await startContainerd()
      const { socket, folder } = containerd
      const engine = createContainerdEngine({ socket, folder, namespace: CONTAINERD_NAMESPACE })
      const close = async () => {
        await engine.close()
        await containerd.close()
      }
      return { engine, control: containerd.control, close }
    },
  })
}
