/** A container that runs as somebody of its own: `docker run -u UID:GID`, `-u name:group`, `--group-add`, `-e HOME`. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { sharedContainers, type TestImage } from '../support/containers.ts'
import { type PolicyWorld, policyWorld } from '../support/policy.ts'
import { until } from '../support/wait.ts'

const IDS = 'echo $(id -u) $(id -g) $(id -G)'
/** bob may be whom passwd or the container itself has; carol that number, too. */
const RULES = [{ who: { identities: ['bob', 'carol'] }, users: ['*'] }, { users: ['4242'] }]
const PEOPLE = { bob: '', carol: '' }

const containers = sharedContainers()
afterAll(() => containers.remove(), 60_000)

describe.each(['auto', 'off'] as const)('guest: %s', (guest) => {
  let open: PolicyWorld
  let ruled: PolicyWorld
  beforeAll(async () => {
    ;[open, ruled] = await Promise.all([
      policyWorld({ alice: '' }, {}, guest),
      policyWorld(PEOPLE, { rules: [RULES[0] ?? {}, { ...RULES[1], who: { identities: ['carol'] } }] }, guest),
    ])
  })
  afterAll(async () => {
    await Promise.all([open?.close(), ruled?.close()])
  })
  const runAs = (image: TestImage, ...args: string[]) => containers.start(image, args)
  const ids = async (login: string) => (await (await open.as('alice', login)).exec(IDS)).stdout.toString().trim()

  test.each([
    ['busybox', '4321:8765'],
    ['debian', '4321:8765'],
    ['debian', 'dev:users'],
    ['debian', '1000'],
  ] as const)('%s run as %s: who the engine says, with its groups, in a session and in sftp', async (image, user) => {
    const { name, inside } = await runAs(image, '-u', user, '--group-add', '5555')
    const expected = (await inside(IDS, user)).stdout.toString().trim()
    expect(await ids(name)).toBe(expected)

    const [uid, gid] = expected.split(' ')
    const file = join(open.folder, 'file')
    await writeFile(file, 'x')
    const { code, stderr } = await (await open.as('alice', name)).sftp(`put ${file} /tmp/put\n`)
    expect([code, stderr.toString()]).toEqual([0, ''])
    expect((await inside('stat -c %u:%g /tmp/put')).stdout.toString().trim()).toBe(`${uid}:${gid}`)
    const started = () => open.log().findLast((line) => line.msg === 'session started' && line.container === name)
    expect((await until('the log says how', started)).road).toBe(guest === 'auto' ? 'guest' : 'plain')
  })

  test('who is named keeps the groups of passwd', async () => {
    const { name, inside } = await runAs('debian', '-u', 'dev:users')
    expect(await ids(`dev@${name}`)).toBe((await inside(IDS, 'dev')).stdout.toString().trim())
  })

  test('without an entry, home is what the container was run with, else /', async () => {
    const where = async (login: string) =>
      (await (await open.as('alice', login)).exec('echo $HOME $PWD')).stdout.toString().trim()
    const { name } = await runAs('busybox', '-u', '54321', '-e', 'HOME=/tmp')
    expect(await where(name)).toBe('/tmp /tmp')
    expect(await where(`4242@${name}`)).toBe('/tmp /tmp')
    const { stdout } = await (await open.as('alice', name)).sftp('pwd\n')
    expect(stdout.toString()).toContain('Remote working directory: /tmp')
    expect(await where((await runAs('busybox', '-u', '54321')).name)).toBe('/ /')
  })

  test('a number that is nobody’s is let in where a rule lists it; the container’s own is somebody', async () => {
    const { name } = await runAs('busybox', '-u', '54321:54321')
    const uid = async (person: string, login: string) => {
      const { code, stdout, stderr } = await (await ruled.as(person, login)).exec('id -u')
      return code === 0 ? stdout.toString().trim() : stderr.toString()
    }
    expect(await uid('bob', name)).toBe('54321')
    expect(await uid('bob', `1000@${name}`)).toBe('1000')
    expect(await uid('bob', `4242@${name}`)).toContain('Permission denied')
    expect(await uid('carol', `4242@${name}`)).toBe('4242')
    expect(await uid('carol', `4243@${name}`)).toContain('Permission denied')
  })
})
