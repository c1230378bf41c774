/** The guest helper on Podman's own engine: how it gets in, and past the engine's stream. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { testName } from '../support/containers.ts'
import { type Podman, startPodman, whyNoPodman } from '../support/podman.ts'
import { until } from '../support/wait.ts'
import { DEV, LIMIT, openWorld, ROOT, sh, type World } from './world.ts'

const why = await whyNoPodman()
if (why !== undefined) it.skip(`the helper on Podman (${why})`, () => {})
else {
  describe('on Podman', () => {
    let podman: Podman
    let world: World
    beforeAll(async () => {
      podman = await startPodman()
      world = await openWorld({ direct: true }, 'docker', (await podman.serve()).replace('unix://', ''))
    }, 120_000)
    afterAll(async () => {
      await world?.close()
      await podman?.close()
    }, 60_000)

    it.each([
      ['shell', []],
      ['holder', ['--read-only', '--read-only-tmpfs=false']],
    ])(
      'the helper comes by a %s and moves its bytes past the engine: %j',
      async (way, args) => {
        const name = testName('podman')
        const id = await podman.control('run', '-d', '--name', name, '--network', 'none', ...args, 'hatchway-busybox')
        for (const user of [DEV, ROOT]) {
          const guest = await world.guest({ id }, user)
          const report = await world.pool.explain(await world.inspect({ id }), user, LIMIT())
          expect(report).toMatchObject({ way, dataPath: { direct: true } })
          expect((await sh(guest, 'id -u')).out).toBe(`${user.uid}\n`)
        }
        await until('holders to be gone', async () => {
          return (await podman.control('ps', '-aq', '--filter', `label=hatchway.holder=${id}`)) === ''
        })
        await podman.control('rm', '-f', '-t', '0', name)
      },
      90_000,
    )

    it('its image is there once, by its name', async () => {
      const images = await podman.control('images', '--format', '{{.Repository}}:{{.Tag}}')
      expect(images.split('\n').filter((image) => image.includes('none') || image.endsWith(':latest'))).toEqual([
        'localhost/hatchway-busybox:latest',
      ])
    })
  })
}
