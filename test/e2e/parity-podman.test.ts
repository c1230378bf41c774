/** The parity suite on Podman of root, by its Docker-compatible socket. Only of `./hatchway test --engines`. */
import { it } from 'vitest'
import { parity } from '../parity/suite.ts'
import { startPodman, whyNoPodman } from '../support/podman.ts'
import { startRootlessPodman, whyNoRootlessPodman } from '../support/podman-rootless.ts'
import { startPodman5, whyNoPodman5 } from '../support/podman5.ts'

const DEBIAN = ['hatchway-debian'] as const

for (const [road, why, start] of [
  ['docker on Podman', await whyNoPodman(), () => startPodman(DEBIAN)],
  ["docker on a user's Podman", await whyNoRootlessPodman(), () => startRootlessPodman(DEBIAN)],
  ['docker on Podman 5', whyNoPodman5(), () => startPodman5(DEBIAN)],
] as const) {
  if (why !== undefined) it.skip(`parity on ${road} (${why})`, () => {})
  else {
    parity(road, true, {
      async open() {
        const podman = await start()
        return { endpoint: await podman.serve(), close: podman.close }
      },
    })
  }
}
