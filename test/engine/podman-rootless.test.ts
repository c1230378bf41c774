/** Podman of a user who is not root: the contract on its socket and by its CLI, and limits that it cannot set. */
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { createCliEngine } from '../../src/engine/cli/cli.ts'
import { createDockerEngine } from '../../src/engine/docker/docker.ts'
import type { Engine } from '../../src/engine/engine.ts'
import { testName } from '../support/containers.ts'
import { type RootlessPodman, startRootlessPodman, whyNoRootlessPodman } from '../support/podman-rootless.ts'
import { contract } from './contract.ts'
import { noCatatonit, PODMAN_SKIPS, PODMAN_URL_SKIPS, ROOTLESS_SKIPS } from './skips.ts'

vi.setConfig({ testTimeout: 120_000 })

const DRIVERS = {
  "engine docker on the socket of a user's Podman": async (podman: RootlessPodman) =>
    createDockerEngine({ endpoint: await podman.serve() }),
  "engine cli: a user's podman": async (podman: RootlessPodman) => createCliEngine({ binary: podman.binary }),
  // The service of that user, by root's own client.
  "engine cli: podman --url of a user's service": async (podman: RootlessPodman) =>
    createCliEngine({ binary: 'podman', endpoint: await podman.serve() }),
}

const why = await whyNoRootlessPodman()
const catatonit = await noCatatonit()
for (const [name, make] of Object.entries(DRIVERS)) {
  if (why !== undefined) {
    it.skip(`${name} (${why})`, () => {})
    continue
  }
  contract({
    name,
    skip: [...PODMAN_SKIPS, ...ROOTLESS_SKIPS, ...catatonit, ...(name.includes('--url') ? PODMAN_URL_SKIPS : [])],
    async open() {
      const podman = await startRootlessPodman()
      const engine = await make(podman)
      const close = async () => {
        await engine.close()
        await podman.close()
      }
      return { engine, control: podman.control, close }
    },
  })

  describe(`limits, ${name}`, () => {
    let podman: RootlessPodman
    let engine: Engine
    beforeAll(async () => {
      podman = await startRootlessPodman()
      engine = await make(podman)
    }, 120_000)
    afterAll(async () => {
      await engine?.close()
      await podman?.close()
    }, 60_000)

    it.each([{ memory: 64 * 1024 * 1024 }, { cpus: 0.5 }, { pids: 50 }])(
      '%o cannot be had, and nothing is left',
      async (limit) => {
        const name = testName('limited')
        const spec = { name, image: 'hatchway-busybox:latest', env: [], labels: {}, mounts: [], init: false, ...limit }
        await expect(engine.lifecycle?.create(spec, AbortSignal.timeout(60_000))).rejects.toMatchObject({
          code: 'CONTAINER_START_FAILED',
          message: expect.stringMatching(`^container ${name} was not made: the container engine cannot limit `),
        })
        expect(await podman.control('ps', '-aq', '--filter', `name=${name}`)).toBe('')
      },
    )
  })
}
