/** Containers that do not run when somebody wants in: issue 8, point 7. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { docker, pauseContainer, startContainer, type TestContainer, testName } from '../support/containers.ts'
import { GATEWAY_ROADS, openRoad, type Road } from '../support/roads.ts'
import { sleep, until } from '../support/wait.ts'

const state = (name: string) => docker('inspect', '-f', '{{.State.Status}}', name)
const now = () => (Date.now() / 1000).toFixed(3)
const starts = async (name: string, since: string) => {
  const seen = await docker('events', '--since', since, '--until', now(), '--filter', `container=${name}`)
  return seen.split('\n').filter((line) => / container start /.test(line)).length
}

async function withStart(
  name: (typeof GATEWAY_ROADS)[number],
  extra = '',
): Promise<{ road: Road; close(): Promise<void> }> {
  const dir = await mkdtemp(join(tmpdir(), 'hw-test-start-'))
  const config = join(dir, 'hatchway.yaml')
  await writeFile(config, `startOnConnect: true\n${extra}`)
  const road = await openRoad(name, { gatewayArgs: ['--config', config] })
  const close = async () => {
    await road.close()
    await rm(dir, { recursive: true, force: true })
  }
  return { road, close }
}

describe.each(GATEWAY_ROADS)('start on connect on %s', (name) => {
  let road: Road
  let close: () => Promise<void>
  let web: TestContainer
  beforeAll(async () => {
    ;({ road, close } = await withStart(name))
    web = await startContainer('busybox', { name: testName('start') })
  })
  afterAll(async () => {
    await web?.remove()
    await close?.()
  })

  test('a stopped container is started, and a line says so', async () => {
    await docker('kill', web.name)
    const client = await road.as(`dev@${web.name}`)
    const { code, stdout, stderr } = await client.exec('id -un')
    expect([code, stdout.toString()]).toEqual([0, 'dev\n'])
    expect(stderr.toString()).toBe(`hatchway: starting container ${web.name} ...\n`)
    expect((await client.exec('true')).stderr.toString()).toBe('')
  })

  test('on a terminal the line is on the terminal', async () => {
    await docker('kill', web.name)
    const it = (await road.as(`dev@${web.name}`)).terminal(['-t', 't', 'tty; exit 4'])
    try {
      await it.expect(`hatchway: starting container ${web.name} ...\r\n`)
      await it.expect('/dev/pts/')
      expect(await it.exit()).toBe(4)
    } finally {
      it.kill()
    }
  })

  test('sftp starts it without a word', async () => {
    await docker('kill', web.name)
    const { code, stdout, stderr } = await (await road.as(`dev@${web.name}`)).sftp('pwd\n')
    expect([code, stderr.toString()]).toEqual([0, ''])
    expect(stdout.toString()).toContain('/home/dev')
  })

  test('a paused container is unpaused', async () => {
    await pauseContainer(web.name)
    const { code, stderr } = await (await road.as(`dev@${web.name}`)).exec('true')
    expect([code, stderr.toString()]).toEqual([0, `hatchway: unpausing container ${web.name} ...\n`])
    expect(await state(web.name)).toBe('running')
  })

  test('many who want in at once start it once', async () => {
    await docker('kill', web.name)
    const before = now()
    const client = await road.as(`dev@${web.name}`)
    const all = await Promise.all(Array.from({ length: 5 }, () => client.exec('echo in', { limit: 60_000 })))
    expect(all.map(({ code, stdout }) => [code, stdout.toString()])).toEqual(all.map(() => [0, 'in\n']))
    expect(await starts(web.name, before)).toBe(1)
  }, 90_000)

  test('one that ends at once is a sentence with its code and last words', async () => {
    const failing = await startContainer('busybox', {
      name: testName('fails'),
      command: ['sh', '-c', 'echo starting; printf "no \\033[31mdata\\033[0m\\n" >&2; exit 7'],
    })
    try {
      await until('it ended', async () => (await state(failing.name)) === 'exited')
      const { code, stderr } = await (await road.as(`dev@${failing.name}`)).exec('true')
      expect(code).toBe(255)
      expect(stderr.toString()).toContain(
        `hatchway: container ${failing.name} ended at once with code 7: no \\x1b[31mdata\\x1b[0m\n`,
      )
    } finally {
      await failing.remove()
    }
  })

  test('a user that is not there does not start it', async () => {
    await docker('kill', web.name)
    const { code } = await (await road.as(`nobodyhere@${web.name}`)).exec('true')
    expect(code).toBe(255)
    expect(await state(web.name)).toBe('exited')
  })
})

describe.each(GATEWAY_ROADS.slice(0, 1))('stopAfter on %s', (name) => {
  // Both wait for clocks, each with a gateway of its own.
  test.concurrent('what was started stops after its last connection; what others started stays', async () => {
    const { road, close } = await withStart(name, 'stopAfter: 2s\n')
    const ours = await startContainer('busybox', { name: testName('ours') })
    const theirs = await startContainer('busybox', { name: testName('theirs') })
    try {
      await docker('kill', ours.name)
      const client = await road.as(`dev@${ours.name}`)
      await (await road.as(`dev@${theirs.name}`)).exec('true')
      const long = client.exec('sleep 6; echo still here', { limit: 60_000 })
      await until('it runs', async () => (await state(ours.name)) === 'running')
      expect((await client.exec('true')).code).toBe(0)
      // The second connection is over, the first one is not.
      expect((await long).stdout.toString()).toBe('still here\n')
      await until('it is stopped', async () => (await state(ours.name)) === 'exited', 30_000)
      expect(await docker('inspect', '-f', '{{.State.ExitCode}}', ours.name)).toBe('0')
      expect(await state(theirs.name)).toBe('running')
      // And it starts again.
      expect((await client.exec('echo back')).stdout.toString()).toBe('back\n')
      // Who leaves while it starts leaves nothing running.
      await docker('kill', ours.name)
      const since = now()
      const hasty = client.terminal(['-t', 't', 'true'])
      await hasty.expect('starting container')
      hasty.kill('SIGKILL')
      await until('it was started', async () => (await starts(ours.name, since)) === 1)
      await until('it is stopped again', async () => (await state(ours.name)) === 'exited', 30_000)
      expect((await client.exec('echo back')).stdout.toString()).toBe('back\n')
      // Started anew by somebody else, it is theirs.
      await docker('restart', '-t', '1', ours.name)
      await sleep(6000)
      expect(await state(ours.name)).toBe('running')
    } finally {
      await ours.remove()
      await theirs.remove()
      await close()
    }
  }, 120_000)

  test.concurrent('what another gateway has a session in runs on until that is over', async () => {
    const { road, close } = await withStart(name, 'stopAfter: 1s\n')
    // Without a helper, which stays inside for a minute after the last session.
    const other = await openRoad(name, { gatewayArgs: ['--guest', 'off'] })
    const ours = await startContainer('busybox', { name: testName('shared') })
    try {
      await docker('kill', ours.name)
      const starter = await road.as(`dev@${ours.name}`)
      const guest = await other.as(`dev@${ours.name}`)
      const awaiting = (file: string) => `while [ ! -e ${file} ]; do sleep 0.2; done`
      const before = starter.exec(`echo started; ${awaiting('/tmp/both')}`, { limit: 60_000 })
      await until('it is started', async () => (await state(ours.name)) === 'running')
      const long = guest.exec(`touch /tmp/both; ${awaiting('/tmp/over')}; echo survived`, { limit: 60_000 })
      expect((await before).stdout.toString()).toBe('started\n')
      const seen = () => road.gateway?.log().includes('container runs on: somebody else is in it')
      await until('it is seen that somebody is in it', seen, 30_000)
      await ours.inside('touch /tmp/over')
      expect((await long).stdout.toString()).toBe('survived\n')
      await until('it is stopped then', async () => (await state(ours.name)) === 'exited', 30_000)
    } finally {
      await ours.remove()
      await other.close()
      await close()
    }
  }, 120_000)
})
