/** Which names can be hosts of somebody's ssh, and that an engine that hangs is said when they are asked for. */
import { expect, test } from 'vitest'
import { Containers } from '../../src/container/containers.ts'
import { containerHosts } from '../../src/container/host-names.ts'
import type { ContainerSummary, Engine } from '../../src/engine/engine.ts'
import { onAbort } from '../../src/lifetime/on-abort.ts'

function container(name: string, more: Partial<ContainerSummary> = {}): ContainerSummary {
  const id = Buffer.from(name).toString('hex').padEnd(64, '0')
  return {
    id,
    name,
    image: 'x',
    state: 'running',
    status: '',
    createdAt: 0,
    labels: {},
    ports: [],
    mounts: [],
    ...more,
  }
}

test('every plain name that means one container is a host; what a label says else is none', () => {
  const visible = [
    container('web', { labels: { 'com.docker.compose.project': 'shop', 'com.docker.compose.service': 'app' } }),
    container('db', { state: 'exited', labels: { 'hatchway.name': 'x\nHost *\n  ProxyCommand touch /tmp/owned' } }),
    container('one', { labels: { 'hatchway.name': 'both' } }),
    container('two', { labels: { 'hatchway.name': 'both' } }),
    container('odd', { labels: { 'hatchway.name': '-oProxyCommand=x' } }),
  ]
  expect(containerHosts(visible, { box: { kind: 'name', name: 'db' } })).toEqual([
    { name: 'app.shop', running: true },
    { name: 'box', running: false },
    { name: 'db', running: false },
    { name: 'odd', running: true },
    { name: 'one', running: true },
    { name: 'two', running: true },
    { name: 'web', running: true },
  ])
})

test('each of 2,000 containers is looked at a few times, not once for each name of the others', () => {
  let reads = 0
  const counted = <T>(value: T): T => {
    reads++
    return value
  }
  const all = Array.from({ length: 2000 }, (_, index) => {
    const labels = {
      'com.docker.compose.project': `project${index}`,
      'com.docker.compose.service': 'web',
      'com.docker.compose.container-number': '1',
      'hatchway.name': `box${index}`,
    }
    const it = container(`project${index}-web-1`)
    return Object.defineProperties(it, {
      name: { get: () => counted(`project${index}-web-1`) },
      labels: { get: () => counted(labels) },
      id: { get: () => counted(index.toString(16).padStart(64, '0')) },
    })
  })
  expect(containerHosts(all, {})).toHaveLength(6000)
  expect(reads).toBeLessThan(2000 * 20)
})

test('an engine that hangs is waited for no longer than the limit, each time it is asked', async () => {
  let asked = 0
  const list = (signal: AbortSignal) =>
    new Promise<never>((_, reject) => {
      asked++
      onAbort(signal, reject)
    })
  const containers = new Containers({ list } as Partial<Engine> as Engine, {}, 20)
  const patient = new AbortController().signal
  const twice = [1, 2].map(() => containers.hosts(async () => true, patient))
  for (const answer of twice) {
    await expect(answer).rejects.toThrow('the container engine did not answer within 0 s (listing containers)')
  }
  expect(asked).toBe(2)
  const gone = AbortSignal.abort(new Error('the client went away'))
  await expect(containers.hosts(async () => true, gone)).rejects.toThrow('the client went away')
})
