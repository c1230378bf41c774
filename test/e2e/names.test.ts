/** Names that survive that a container is made again, with the real client: issue 8, point 9. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startContainer, type TestContainer, testName } from '../support/containers.ts'
import { type Gateway, startGateway } from '../support/gateway.ts'
import { type Keys, makeKeys, makeSshClient } from '../support/ssh.ts'

const word = testName('api')
let keys: Keys
let gateway: Gateway
let folder: string
const containers: TestContainer[] = []

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hw-test-names-'))
  const config = join(folder, 'hatchway.yaml')
  await writeFile(config, `aliases:\n  front: "label:hw-test-app=${word}"\n  composed: "compose:web.${word}"\n`)
  keys = await makeKeys()
  gateway = await startGateway({ keys, engine: 'docker', args: ['--config', config] })
})
afterAll(async () => {
  for (const container of containers) await container.remove()
  await gateway?.stop()
  await keys?.close()
  await rm(folder, { recursive: true, force: true })
})

async function make(hostname: string): Promise<TestContainer> {
  const labels = [
    `hatchway.name=${word}`,
    `hw-test-app=${word}`,
    `com.docker.compose.project=${word}`,
    'com.docker.compose.service=web',
  ]
  const args = ['--hostname', hostname, ...labels.flatMap((label) => ['--label', label])]
  const container = await startContainer('busybox', { args })
  containers.push(container)
  return container
}

async function hostnameBy(login: string): Promise<string> {
  const client = await makeSshClient(gateway.target(login), ['LogLevel INFO'])
  try {
    const { stdout, stderr } = await client.exec('hostname')
    return stdout.toString().trim() || stderr.toString().replace(/^Warning:.*\r?\n/, '')
  } finally {
    await client.close()
  }
}

test('a label, an alias of a label and one of a service lead to the container that has it now', async () => {
  const ways = [`dev@${word}`, 'dev@front', 'dev@composed', `dev@web.${word}`]
  const first = await make('first')
  for (const way of ways) expect(await hostnameBy(way)).toBe('first')
  await first.remove()
  for (const way of ways) expect(await hostnameBy(way)).toContain('no container')
  await make('second')
  for (const way of ways) expect(await hostnameBy(way)).toBe('second')
  await make('twin')
  for (const way of ways) expect(await hostnameBy(way)).toContain('means 2 containers')
}, 120_000)
