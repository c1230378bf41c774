/** Several engines, of which one hangs, one cannot prove who it is, and one comes back with other containers. */
import { execFileSync } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import tls from 'node:tls'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { docker, startContainer, type TestContainer, testName } from '../support/containers.ts'
import { type HangingEngine, startHangingEngine } from '../support/hanging-engine.ts'
import { type PolicyWorld, policyWorld } from '../support/policy.ts'
import { hatchway } from '../support/program.ts'
import { until } from '../support/wait.ts'

const web = testName('web')
const containers: TestContainer[] = []
const silent: Server = createServer((socket) => void open.add(socket.on('error', () => {})))
const open = new Set<Socket>()
let secure: tls.Server
let home: string
let near: HangingEngine
let world: PolicyWorld

async function start(hostname: string): Promise<void> {
  containers.push(await startContainer('busybox', { name: web, args: ['--hostname', hostname] }))
}
const listening = async (server: Server | tls.Server) => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return `tcp://127.0.0.1:${(server.address() as AddressInfo).port}`
}

beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'hw-test-faults-'))
  const files = ['-keyout', join(home, 'key'), '-out', join(home, 'cert')]
  const subject = ['-subj', '/CN=nobody', '-addext', 'subjectAltName=IP:127.0.0.1', '-days', '2']
  execFileSync('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', ...subject, ...files], { stdio: 'ignore' })
  secure = tls.createServer({ key: await readFile(join(home, 'key')), cert: await readFile(join(home, 'cert')) })
  near = await startHangingEngine()
  await start('first')
  const engines = {
    near: { kind: 'docker', endpoint: near.endpoint },
    silent: { kind: 'docker', endpoint: await listening(silent) },
    secure: { kind: 'docker', endpoint: await listening(secure), tls: {} },
  } as const
  world = await policyWorld({ alice: '' }, { engines, rules: [{ who: { identities: ['alice'] }, users: ['root'] }] })
}, 60_000)
afterAll(async () => {
  await world?.close()
  for (const container of containers) await container.remove()
  await near?.close()
  for (const socket of open) socket.destroy()
  silent.close()
  secure?.close()
  await rm(home, { recursive: true, force: true })
}, 60_000)

test('one that hangs and one with a bad certificate hold up nobody, and each is told as what it is', async () => {
  const client = await world.as('alice', `root@${web}`, ['LogLevel INFO'])
  expect((await client.exec('hostname')).stdout.toString()).toBe('first\n')
  const began = performance.now()
  expect((await client.exec('hostname')).stdout.toString()).toBe('first\n')
  expect(performance.now() - began).toBeLessThan(5_000)
  const { out, err } = await hatchway(['ls', '--config', world.config])
  expect(out).toContain(web)
  expect(err).toMatch(/engine silent did not answer within 5 s/)
  expect(err).toMatch(/engine secure.*of no authority that is trusted/)
  const doctor = await hatchway(['doctor', '--config', world.config])
  expect(doctor.out).toMatch(/engine near .*docker/)
  expect(doctor.out).toMatch(/engine silent .*did not answer/)
  expect(doctor.out).toMatch(/engine secure .*of no authority that is trusted/)
  const [line] = await world.logged(/an engine does not tell of its containers/)
  expect(line).toMatchObject({ engine: 'silent' })
  // A name that nobody has may be theirs.
  const { code, stderr } = await (await world.as('alice', 'root@no-such', ['LogLevel INFO'])).exec('true')
  expect([code, stderr.toString()]).toEqual([255, expect.stringContaining('not every container engine can be asked')])
}, 60_000)

test('one that comes back with another container of the same name: who is connected is told, who comes is in the new one', async () => {
  const control = ['ControlMaster auto', `ControlPath ${join(world.folder, 'ctl')}`, 'ControlPersist 60']
  const client = await world.as('alice', `root@${web}`, ['LogLevel INFO', ...control])
  expect((await client.exec('hostname')).stdout.toString()).toBe('first\n')
  const mark = world.log().length
  const since = (msg: RegExp) =>
    world
      .log()
      .slice(mark)
      .some((line) => line.engine === 'near' && msg.test(String(line.msg)))
  near.cut()
  await until('it is known to be away', () => since(/the engine went away/))
  const away = await (await world.as('alice', `root@${web}`, ['LogLevel INFO'])).exec('hostname')
  expect([away.code, away.stderr.toString()]).toEqual([255, expect.stringContaining('engine near')])
  // Nobody sees it go, or the other one come.
  await docker('rm', '-f', web)
  await start('second')
  near.mend()
  await until('it is back', () => since(/the engine is back/), 60_000)
  const { code, stdout, stderr } = await client.exec('hostname')
  expect([code, stdout.toString()]).toEqual([255, ''])
  expect(stderr.toString()).toMatch(/another container now|is gone: connect again/)
  const next = await world.as('alice', `root@${web}`)
  expect((await next.exec('hostname')).stdout.toString()).toBe('second\n')
}, 120_000)
