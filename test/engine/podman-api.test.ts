import { it, vi } from 'vitest'
import { createDockerEngine } from '../../src/engine/docker/docker.ts'
import { startPodman, whyNoPodman } from '../support/podman.ts'
import { contract } from './contract.ts'
import { NO_STOP, noCatatonit, PODMAN_SKIPS } from './skips.ts'

// Podman 4 says nothing for half a minute now and then, in a pull or a remove, and goes on.
vi.setConfig({ testTimeout: 120_000 })

const why = await whyNoPodman()
if (why !== undefined) it.skip(`engine docker on Podman's socket (${why})`, () => {})
else {
  contract({
    name: "engine docker on Podman's socket",
    skip: [...PODMAN_SKIPS, NO_STOP, ...(await noCatatonit())],
    async open() {
      const podman = await startPodman()
      const engine = createDockerEngine({ endpoint: await podman.serve() })
      const close = async () => {
        await engine.close()
        await podman.close()
      }
      return { engine, control: podman.control, close }
    },
  })
}
