/** The passwd that a decision was made by is not the one that the engine reads when it runs the program. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { docker, startContainer, type TestContainer, testName } from '../support/containers.ts'
import { type PolicyWorld, policyWorld } from '../support/policy.ts'

const uid = (from: number, to: number) => `sed -i 's/^dev:x:${from}:/dev:x:${to}:/' /etc/passwd`

describe.each(['auto', 'off'] as const)('guest: %s', (guest) => {
  let world: PolicyWorld
  beforeAll(async () => {
    world = await policyWorld(
      { alice: '' },
      {
        startOnConnect: true,
        rules: [
          { users: ['1000'], actions: { exec: ['id *', 'true', 'env'], sftp: true, start: true, env: ['HW_*'] } },
          { users: ['1001'], actions: { exec: ['true', 'env'], sftp: 'read-only' } },
        ],
      },
      guest,
    )
  })
  afterAll(() => world?.close())

  describe('changed by the start that a login caused', () => {
    let name: string
    beforeAll(async () => {
      name = testName('renumbers')
    })
    const stopped = async () => {
      await docker('rm', '-f', name).catch(() => undefined)
      await docker('create', '--name', name, 'hatchway-debian:latest', 'sh', '-c', `${uid(1000, 1001)}; sleep 600`)
    }
    afterAll(() => docker('rm', '-f', name))

    test('the new user may not do what the old one may', async () => {
      await stopped()
      const { code, stdout, stderr } = await (await world.as('alice', `dev@${name}`)).exec('id -u')
      expect([code, stdout.toString()]).toEqual([255, ''])
      expect(stderr.toString()).toContain(`this command in ${name} as dev is not permitted`)
    })

    test('the new user may do what both may', async () => {
      await stopped()
      expect((await (await world.as('alice', `dev@${name}`)).exec('true')).code).toBe(0)
    })

    test('a variable that only the old one may send does not arrive', async () => {
      await stopped()
      const client = await world.as('alice', `dev@${name}`, ['SetEnv HW_SENT=yes'])
      const { code, stdout } = await client.exec('env')
      expect([code, stdout.toString().includes('HW_SENT')]).toEqual([0, false])
    })

    test('what is narrower for the new user is narrow', async () => {
      await stopped()
      const client = await world.as('alice', `dev@${name}`)
      const { stdout, stderr } = await client.sftp('mkdir /tmp/not\npwd\n')
      expect(`${stdout}${stderr}`).toMatch(/not": Permission denied/)
    })
  })

  describe('changed within a moment, while it runs', () => {
    let web: TestContainer
    beforeEach(async () => {
      web = await startContainer('debian')
    })
    afterEach(() => web?.remove())

    test.each([
      ['another uid', 1001],
      ['root', 0],
    ])('%s is not who was permitted, and the next login knows', async (_, now) => {
      const client = await world.as('alice', `dev@${web.name}`)
      // Who dev is was looked up, and no helper runs as dev.
      expect((await client.exec('whoami')).stderr.toString()).toContain('is not permitted')
      await web.inside(uid(1000, now))
      const { code, stdout, stderr } = await client.exec('id -u')
      expect([code, stdout.toString()]).toEqual([255, ''])
      expect(stderr.toString()).toContain('the user inside')
      await web.inside(uid(now, 1000))
      expect((await client.exec('id -u')).stdout.toString()).toBe('1000\n')
    })
  })
})
