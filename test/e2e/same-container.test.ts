/** A live connection stays in the container that it entered, whatever its name means by then. */
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest'
import { docker, startContainer, type TestContainer, testName } from '../support/containers.ts'
import { type PolicyWorld, policyWorld } from '../support/policy.ts'
import { until } from '../support/wait.ts'

const TEMPLATE = `t${process.pid}same`
let world: PolicyWorld
let name: string
let count = 0
const containers: TestContainer[] = []

beforeAll(async () => {
  world = await policyWorld(
    { alice: '' },
    { startOnConnect: true, templates: { [TEMPLATE]: { image: 'hatchway-busybox:latest' } } },
  )
})
afterAll(() => world?.close())
beforeEach(() => {
  name = testName('same')
})
afterEach(async () => {
  for (const container of containers.splice(0)) await container.remove()
})

async function make(hostname: string, labels: readonly string[] = [], as = name): Promise<TestContainer> {
  const args = ['--hostname', hostname, ...labels.flatMap((label) => ['--label', label])]
  const container = await startContainer('busybox', { name: as, args })
  // By its id: names move in these tests.
  containers.push({ ...container, remove: async () => void (await docker('rm', '-f', container.id).catch(() => '')) })
  return container
}

/** Every session over one connection. */
async function connect(login: string) {
  const control = ['ControlMaster auto', `ControlPath ${join(world.folder, `ctl${count++}`)}`, 'ControlPersist 60']
  const client = await world.as('alice', login, control)
  const hostname = async () => {
    const { code, stdout, stderr } = await client.exec('hostname')
    return code === 0 ? stdout.toString().trim() : `${code} ${stderr}`
  }
  return { client, hostname, close: () => client.ssh(['-O', 'exit', 't']) }
}

test('removed or made again under its name: whoever asks next is told, and the connection ends', async () => {
  const short = ({ id }: TestContainer) => id.slice(0, 12)
  let old = await make('old')
  const { client, hostname, close } = await connect(`dev@${name}`)
  expect(await hostname()).toBe('old')
  await old.remove()
  expect(await hostname()).toContain(`255 hatchway: "${name}" (${short(old)}) is gone: connect again\n`)

  old = await make('second')
  await until('the connection ended, and the next one enters it', async () => (await hostname()) === 'second')
  await old.remove()
  const now = await make('third')
  const sentence = `"${name}" is another container now (${short(now)}, it was ${short(old)}): connect again\n`
  expect(await hostname()).toContain(`255 hatchway: ${sentence}`)
  await until('another connection', async () => (await hostname()) === 'third')

  await now.remove()
  await make('fourth')
  // Before the engine's event has come the dial may go to the container that is gone, and fails as well.
  await until('the dial is refused for the change', async () => {
    expect((await client.ssh(['-W', '127.0.0.1:1', 't'])).code).not.toBe(0)
    return world.log().findLast(({ msg }) => msg === 'forward refused')?.code === 'CONTAINER_CHANGED'
  })
  await until('another connection', async () => (await hostname()) === 'fourth')
  await close()
})

test('renamed, it is the same; also where another one has its name', async () => {
  const old = await make('old')
  const { hostname, close } = await connect(`dev@${name}`)
  expect(await hostname()).toBe('old')
  await docker('rename', old.id, `${name}-old`)
  expect(await hostname()).toBe('old')
  await make('new')
  expect(await hostname()).toBe('old')
  expect(await (await connect(`dev@${name}`)).hostname()).toBe('new')
  await close()
})

test('stopped and started it is the same; stopped while another one has its name, it is not started for it', async () => {
  const label = [`hatchway.name=${name}-word`]
  const old = await make('old', label)
  const { hostname, close } = await connect(`dev@${name}-word`)
  expect(await hostname()).toBe('old')
  await docker('restart', '-t', '0', old.id)
  expect(await hostname()).toBe('old')
  await docker('stop', '-t', '0', old.id)
  expect(await hostname()).toMatch(/old$/)
  await docker('stop', '-t', '0', old.id)
  await make('new', label, `${name}-2`)
  expect(await hostname()).toContain(`"${name}-word" is another container now`)
  expect(await docker('inspect', '-f', '{{.State.Running}}', old.id)).toBe('false')
  await close()
})

test('a personal container that was removed is not made anew under a connection', async () => {
  const { hostname, close } = await connect(`~${TEMPLATE}`)
  const personal = await hostname()
  expect(personal).toMatch(/^[0-9a-f]{12}$/)
  await docker('rm', '-f', personal)
  expect(await hostname()).toContain(`"~${TEMPLATE}" (${personal}) is gone: connect again`)
  expect(await docker('ps', '-aq', '--filter', `label=hatchway.template=${TEMPLATE}`)).toBe('')
  await close()
})

test('a fresh container that was removed, and whose name another has by then: it is told, and the other one stays', async () => {
  const { hostname, close } = await connect(`+${TEMPLATE}`)
  const fresh = await hostname()
  expect(fresh).toMatch(/^[0-9a-f]{12}$/)
  const itsName = (await docker('inspect', '-f', '{{.Name}}', fresh)).slice(1)
  await docker('rm', '-f', fresh)
  const other = await make('other', [], itsName)
  expect(await hostname()).toContain(`"+${TEMPLATE}" (${fresh}) is gone: connect again`)
  await close()
  await until('the gateway has removed what it made', () => world.log().some(({ msg }) => msg === 'container removed'))
  expect(await docker('inspect', '-f', '{{.State.Status}}', other.id)).toBe('running')
})
