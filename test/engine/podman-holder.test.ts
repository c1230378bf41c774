/** A holder on Podman's Docker-compatible socket, whose image Podman has never seen. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createCliEngine } from '../../src/engine/cli/cli.ts'
import { createDockerEngine } from '../../src/engine/docker/docker.ts'
import type { Engine } from '../../src/engine/engine.ts'
import { docker, testName } from '../support/containers.ts'
import { type Podman, startPodman, whyNoPodman } from '../support/podman.ts'
import { run } from '../support/run.ts'

const why = await whyNoPodman()
if (why !== undefined) it.skip(`a holder on Podman (${why})`, () => {})
else {
  let podman: Podman
  let engine: Engine
  let tar: Buffer
  beforeAll(async () => {
    const id = await docker('create', 'hatchway-busybox:latest')
    tar = (await run('docker', ['export', id], { limit: 60_000 })).stdout
    await docker('rm', id)
    podman = await startPodman()
    engine = createDockerEngine({ endpoint: await podman.serve() })
  }, 120_000)
  afterAll(async () => {
    await engine?.close()
    await podman?.close()
  }, 60_000)

  it('is imported under the name that it is run by', async () => {
    const containerId = await podman.control(
      'run',
      '-d',
      '--name',
      testName('target'),
      'hatchway-busybox',
      'sleep',
      '600',
    )
    const argv = ['/bin/sh', '-c', 'echo held; cat'] as const
    const image = { repository: 'hatchway-test-holder', tag: 'abc', tar }
    const signal = AbortSignal.timeout(30_000)
    const holder = await engine.holders?.start({ containerId, user: '0:0', image, argv }, signal)
    expect(holder?.firstLine).toBe('held')
    await holder?.close()
    const tags = await podman.control('images', '--format', '{{.Repository}}:{{.Tag}}')
    expect(tags.split('\n').filter((name) => name.includes('test-holder'))).toEqual([
      expect.stringMatching(/hatchway-test-holder:abc$/),
    ])
  }, 60_000)

  it.each(['docker', 'cli'] as const)(
    'does not keep its container from being removed over %s, and goes with it',
    async (kind) => {
      const containerId = await podman.control('run', '-d', 'hatchway-busybox', 'sleep', '600')
      const argv = ['/bin/sh', '-c', 'echo held; cat'] as const
      const image = { repository: 'hatchway-test-holder', tag: 'abc', tar }
      const signal = AbortSignal.timeout(60_000)
      const holder = await engine.holders?.start({ containerId, user: '0:0', image, argv }, signal)
      // As Podman's own rm says.
      await expect(podman.control('rm', '-f', '-t', '0', containerId)).rejects.toThrow(/depend/)
      const remover = kind === 'cli' ? createCliEngine({ binary: podman.binary }) : engine
      await remover.lifecycle?.remove(containerId, signal)
      await holder?.close()
      if (kind === 'cli') await remover.close()
      expect(await podman.control('ps', '-a', '--no-trunc', '--format', '{{.ID}} {{.Labels}}')).not.toContain(
        containerId,
      )
    },
    90_000,
  )
}
