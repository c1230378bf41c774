/** An engine that gives its containers user ids of their own: the holder has to have those of the container that it joins. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { testName } from '../support/containers.ts'
import { type Dockerd, startDockerd } from '../support/dockerd.ts'
import { until } from '../support/wait.ts'
import { DEV, LIMIT, openWorld, ROOT, sh, type World } from './world.ts'

describe.skipIf(process.getuid?.() !== 0)('with --userns-remap (a dockerd of our own needs root)', () => {
  let dockerd: Dockerd
  let world: World
  beforeAll(async () => {
    dockerd = await startDockerd({ liveRestore: false, remap: true })
    world = await openWorld({ direct: true }, 'docker', dockerd.endpoint.replace('unix://', ''))
  }, 90_000)
  afterAll(async () => {
    await world?.close()
    await dockerd?.close()
  }, 90_000)

  it.each([
    ['the engine’s ids', []],
    ['--userns=host', ['--userns=host']],
  ])(
    'the helper comes by a holder and moves its bytes past the engine: %s',
    async (_, args) => {
      const name = testName('userns')
      const id = await dockerd.control(
        'run',
        '-d',
        '--name',
        name,
        '--network',
        'none',
        '--read-only',
        ...args,
        'hatchway-busybox',
      )
      // The way that was right for one user is tried first for the next.
      for (const user of [DEV, ROOT]) {
        const guest = await world.guest({ id }, user)
        const report = await world.pool.explain(await world.inspect({ id }), user, LIMIT())
        expect(report).toMatchObject({ way: 'holder', dataPath: { direct: true } })
        expect((await sh(guest, 'id -u')).out).toBe(`${user.uid}\n`)
      }
      await until('holders to be gone', async () => {
        return (await dockerd.control('ps', '-aq', '--filter', `label=hatchway.holder=${id}`)) === ''
      })
      await dockerd.control('rm', '-f', name)
    },
    60_000,
  )
})
