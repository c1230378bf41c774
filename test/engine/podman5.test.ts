/** The contract on Podman 5: on its socket and by its CLI. */
import { it, vi } from 'vitest'
import { createCliEngine } from '../../src/engine/cli/cli.ts'
import { createDockerEngine } from '../../src/engine/docker/docker.ts'
import type { Podman } from '../support/podman.ts'
import { startPodman5, whyNoPodman5 } from '../support/podman5.ts'
import { contract } from './contract.ts'
import { PODMAN_SKIPS, PODMAN5_SKIPS } from './skips.ts'

vi.setConfig({ testTimeout: 120_000 })

const DRIVERS = {
  "engine docker on Podman 5's socket": async (podman: Podman) =>
    createDockerEngine({ endpoint: await podman.serve() }),
  'engine cli: podman 5': async (podman: Podman) => createCliEngine({ binary: podman.binary }),
}

const why = whyNoPodman5()
for (const [name, make] of Object.entries(DRIVERS)) {
  if (why !== undefined) {
    it.skip(`${name} (${why})`, () => {})
    continue
  }
  contract({
    name,
    skip: [...PODMAN_SKIPS, ...PODMAN5_SKIPS],
    async open() {
      const podman = await startPodman5()
      const engine = await make(podman)
      const close = async () => {
        await engine.close()
        await podman.close()
      }
      return { engine, control: podman.control, close }
    },
  })
}
