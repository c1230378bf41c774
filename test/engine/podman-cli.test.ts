import { it, vi } from 'vitest'
import { createCliEngine } from '../../src/engine/cli/cli.ts'
import { startPodman, whyNoPodman } from '../support/podman.ts'
import { contract } from './contract.ts'
import { NO_STOP, noCatatonit, PODMAN_SKIPS } from './skips.ts'

// Podman 4 says nothing for half a minute now and then, in a pull or a remove, and goes on.
vi.setConfig({ testTimeout: 120_000 })

const why = await whyNoPodman()
if (why !== undefined) it.skip(`engine cli: podman (${why})`, () => {})
else {
  contract({
    name: 'engine cli: podman',
    skip: [...PODMAN_SKIPS, NO_STOP, ...(await noCatatonit())],
    async open() {
      const podman = await startPodman()
      const engine = createCliEngine({ binary: podman.binary })
      const close = async () => {
        await engine.close()
        await podman.close()
      }
      return { engine, control: podman.control, close }
    },
  })
}
