/** Three real engines behind one gateway: this machine's dockerd, a second one that a test may kill, and a Podman. */
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { docker, startContainer, type TestContainer, testName } from '../support/containers.ts'
import { type Dockerd, startDockerd } from '../support/dockerd.ts'
import { type Podman, startPodman, whyNoPodman } from '../support/podman.ts'
import { type PolicyWorld, policyWorld } from '../support/policy.ts'
import { hatchway } from '../support/program.ts'
import { until } from '../support/wait.ts'

const noPodman = await whyNoPodman()
const both = testName('both')
const only = testName('only')
const far = testName('far')
const pod = testName('pod')
const moving = testName('moving')
const containers: TestContainer[] = []
let dockerd: Dockerd
let podman: Podman | undefined
let world: PolicyWorld

async function here(name: string, hostname: string): Promise<TestContainer> {
  const container = await startContainer('busybox', { name, args: ['--hostname', hostname] })
  containers.push(container)
  return container
}
const there = (name: string, hostname: string) =>
  dockerd.control('run', '-d', '--network', 'none', '--name', name, '--hostname', hostname, 'hatchway-busybox:latest')

beforeAll(async () => {
  dockerd = await startDockerd({ liveRestore: false })
  await Promise.all([here(both, 'both-here'), here(only, 'only-here')])
  await there(both, 'both-there')
  await there(far, 'far-there')
  await there(moving, 'moving-there')
  const engines: Record<string, { kind: 'docker'; endpoint: string }> = {
    near: { kind: 'docker', endpoint: 'unix:///var/run/docker.sock' },
    far: { kind: 'docker', endpoint: dockerd.endpoint },
    // The same daemon by another name.
    again: { kind: 'docker', endpoint: '/var/run/docker.sock' },
  }
  if (!noPodman) {
    podman = await startPodman()
    const args = ['--network', 'none', '--name', pod, '--hostname', 'pod-there', 'hatchway-busybox:latest']
    await podman.control('run', '-d', ...args)
    engines.pod = { kind: 'docker', endpoint: await podman.serve() }
    engines['pod-again'] = engines.pod
  }
  const users = ['root']
  world = await policyWorld(
    { alice: '', bob: '' },
    {
      engines,
      rules: [
        { who: { identities: ['alice'] }, users },
        { containers: { engines: ['far'] }, users },
      ],
    },
  )
}, 180_000)
afterAll(async () => {
  await world?.close()
  for (const container of containers) await container.remove()
  await podman?.close()
  await dockerd?.close()
}, 120_000)

async function answer(login: string, who = 'alice', command = 'hostname'): Promise<string> {
  const { code, stdout, stderr } = await (await world.as(who, login, ['LogLevel INFO'])).exec(command)
  return code === 0 ? stdout.toString().trim() : `${code} ${stderr.toString().trim()}`
}

test('each name leads to the container of the engine that has it, and a session there is whole', async () => {
  for (const [name, hostname] of [
    [only, 'only-here'],
    [far, 'far-there'],
    [`${both}.near`, 'both-here'],
    [`${both}.far`, 'both-there'],
    ...(podman ? [[pod, 'pod-there']] : []),
  ] as const) {
    const client = await world.as('alice', `root@${name}`)
    const ran = await client.exec('cat; hostname; echo "$HOME" >&2; exit 7', { input: 'in ' })
    expect([ran.code, ran.stdout.toString(), ran.stderr.toString()]).toEqual([7, `in ${hostname}\n`, '/root\n'])
    const copied = await client.sftp('put /etc/hostname /tmp/copied\nls /tmp\n')
    expect([copied.code, copied.stdout.toString()]).toEqual([0, expect.stringContaining('copied')])
  }
}, 120_000)

test('a name that two have is refused with the full names, but for who may enter one only', async () => {
  expect(await answer(`root@${both}`)).toContain(`"${both}" means 2 containers: ${both}.far, ${both}.near`)
  expect(await answer(`root@${both}`, 'bob')).toBe('both-there')
  expect(await answer(`root@${both}.near`, 'bob')).toContain(`no container "${both}.near"`)
  expect(await answer(`root@${only}`, 'bob')).not.toContain('near')
  const list = await answer('@', 'bob', 'ls')
  expect(list).toContain(`${far}.far\t`)
  expect(list).not.toContain('near')
}, 60_000)

test('lists, sessions and the log say which engine; two names of one daemon are one', async () => {
  const listed = await hatchway(['ls', '--config', world.config, '--json'])
  const rows = JSON.parse(listed.out) as { name: string; engine: string }[]
  expect(
    rows
      .filter(({ name }) => name === both)
      .map(({ engine }) => engine)
      .sort(),
  ).toEqual(['far', 'near'])
  const lines = await world.logged(/two engines are one/)
  expect(lines.map(({ engine, as }) => `${engine} as ${as}`).sort()).toEqual(
    podman ? ['again as near', 'pod-again as pod'] : ['again as near'],
  )
  // What proved it is gone.
  expect(await docker('volume', 'ls', '-q', '--filter', 'name=hatchway-same-')).toBe('')
  await answer(`root@${far}`)
  const started = await until('it is logged', () =>
    world.log().find(({ msg, container }) => msg === 'session started' && container === far),
  )
  expect(started).toMatchObject({ engine: 'far' })
  const doctor = (await hatchway(['doctor', '--config', world.config])).out
  for (const name of ['near', 'far', 'again']) expect(doctor).toMatch(new RegExp(`engine ${name} .*docker`))
}, 60_000)

test('a container that moved to another host under a live connection: it is told, and enters no other', async () => {
  const control = ['ControlMaster auto', `ControlPath ${join(world.folder, 'ctl')}`, 'ControlPersist 60']
  const client = await world.as('alice', `root@${moving}`, control)
  expect((await client.exec('hostname')).stdout.toString()).toBe('moving-there\n')
  await dockerd.control('rm', '-f', moving)
  await here(moving, 'moving-here')
  const next = await until('it is told', async () => {
    const { code, stderr } = await client.exec('hostname')
    return code === 255 && stderr.toString()
  })
  expect(next).toMatch(/is another container now \(near\/[0-9a-f]{12}, it was far\/[0-9a-f]{12}\): connect again/)
  await until('the next connection enters the new one', async () => (await answer(`root@${moving}`)) === 'moving-here')
}, 60_000)

test('an engine that goes: its sessions are told, its names lead nowhere else, and it is back when it is', async () => {
  const mark = world.log().length
  const there = await world.as('alice', `root@${far}`)
  const nearby = await world.as('alice', `root@${only}`)
  const [its, other] = [there.terminal(['-tt', 't']), nearby.terminal(['-tt', 't'])]
  await its.expect(/[#$] /)
  await other.expect(/[#$] /)
  await dockerd.stop('SIGKILL')
  await its.expect(/the container engine has gone away|went away|is not reachable/, 30_000)
  const began = performance.now()
  expect(await answer(`root@${only}`)).toBe('only-here')
  expect(performance.now() - began).toBeLessThan(5_000)
  await here(far, 'stolen')
  await until('the other one is known', async () => (await answer(`root@${far}.near`)) === 'stolen')
  expect(await answer(`root@${far}`)).toContain(`"${far}" means 2 containers`)
  expect(await answer(`root@${far}`, 'bob')).toContain('engine far is not reachable')
  expect(await answer('@', 'alice', 'ls 2>&1; :')).not.toContain('stolen\n')
  const { out, err } = await hatchway(['ls', '--config', world.config])
  expect(out).toContain(only)
  expect(err).toMatch(/engine far is not reachable/)
  other.send('echo still-$((1 + 1))\n')
  await other.expect(/still-2/)
  await dockerd.start()
  await dockerd.control('start', far)
  await until('it is back', async () => (await answer(`root@${far}.far`)) === 'far-there', 60_000)
  await until('the log says so', () =>
    world
      .log()
      .slice(mark)
      .some(({ msg, engine }) => msg === 'the engine is back' && engine === 'far'),
  )
  await docker('rm', '-f', far)
  for (const terminal of [its, other]) terminal.kill()
}, 180_000)
