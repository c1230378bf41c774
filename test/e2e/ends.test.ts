/** How sessions end when something else than the program ends them: issue 2, point 6. */
import { spawn } from 'node:child_process'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { docker, pauseContainer, startContainer, type TestContainer, testMark } from '../support/containers.ts'
import type { Terminal } from '../support/pty.ts'
import { GATEWAY_ROADS, openRoad, ROADS, type Road } from '../support/roads.ts'
import type { Finished } from '../support/run.ts'
import type { SshClient } from '../support/ssh.ts'
import { sleep, until } from '../support/wait.ts'

/** What a client that was killed leaves inside must be gone by then. */
const GONE_LIMIT = 5000

describe.each(ROADS)('a client that dies on %s', (name) => {
  let road: Road
  beforeAll(async () => {
    road = await openRoad(name)
  })
  afterAll(() => road?.close())

  /** Start ssh with an open stdin, wait for the mark inside, kill ssh -9. */
  const dieWith = async (args: readonly string[], mark: string) => {
    const client = spawn('ssh', ['-F', road.client.config, ...args], { stdio: ['pipe', 'ignore', 'ignore'] })
    client.stdin.on('error', () => undefined)
    try {
      await until(`${mark} runs inside`, async () => (await road.container.count(mark)) > 0)
    } finally {
      client.kill('SIGKILL')
    }
  }
  const gone = (mark: string) =>
    until(`${mark} is gone`, async () => (await road.container.count(mark)) === 0, GONE_LIMIT, 200)

  test('on a terminal takes its program along', async () => {
    const mark = testMark()
    await dieWith(['-tt', 't', `sh -c 'sleep 90; : ${mark}'`], mark)
    await gone(mark)
  })

  test('without a terminal ends the program that reads from it', async () => {
    const mark = testMark()
    await dieWith(['t', `sh -c 'cat; : ${mark}'`], mark)
    await gone(mark)
  })

  test('leaves a job that was detached on purpose', async () => {
    const mark = testMark()
    await dieWith(['-tt', 't', `setsid nohup sh -c 'sleep 40; : ${mark}' >/dev/null 2>&1 </dev/null & sleep 90`], mark)
    await sleep(GONE_LIMIT + 1000)
    expect(await road.container.count(mark, 'kill')).toBeGreaterThan(0)
  })

  // Not a promise of sshd: without a terminal nothing tells such a program.
  if (name !== 'sshd')
    test('without a terminal takes along a program that does not read', async () => {
      const mark = testMark()
      await dieWith(['t', `sh -c 'sleep 90; : ${mark}'`], mark)
      await gone(mark)
    })
})

describe.each(GATEWAY_ROADS)('a container that ends under a session on %s', (name) => {
  let road: Road
  let container: TestContainer
  let client: SshClient
  const open: Terminal[] = []
  beforeAll(async () => {
    road = await openRoad(name)
  })
  afterAll(() => road?.close())
  beforeEach(async () => {
    container = await startContainer('debian')
    client = await road.as(`dev@${container.name}`)
  })
  afterEach(async () => {
    for (const one of open.splice(0)) one.kill()
    await container?.remove()
  })

  const act: Record<string, () => Promise<unknown>> = {
    stopped: () => docker('stop', '-t', '1', container.name),
    killed: () => docker('kill', container.name),
    removed: () => docker('rm', '-f', container.name),
  }

  test.each(Object.keys(act))('%s: one line to the user and exit 255, on a terminal and without', async (how) => {
    const mark = testMark()
    const plain = client.exec(`sh -c 'sleep 90; : ${mark}-1'`)
    const terminal = client.terminal(['-t', 't', `sh -c 'sleep 90; : ${mark}-2'`])
    open.push(terminal)
    for (const which of [1, 2]) {
      await until('both run', async () => (await container.count(`${mark}-${which}`)) > 0)
    }
    await act[how]?.()
    const { code, timedOut, stderr } = await plain
    expect({ code, timedOut, lines: lines(stderr) }).toEqual({
      code: 255,
      timedOut: false,
      lines: [expect.stringMatching(new RegExp(`^hatchway: .*${container.name}`))],
    })
    expect(await terminal.exit()).toBe(255)
    expect(terminal.output()).toMatch(new RegExp(`hatchway: .*${container.name}`))
  })

  test('paused: a new session is told so at once, the open one goes on afterwards', async () => {
    const terminal = client.terminal(['-t', 't', 'cat'])
    open.push(terminal)
    terminal.send('before\n')
    await terminal.expect(/before\r\n.*before/s)
    await pauseContainer(container.name)
    try {
      const { code, stderr } = await client.exec('true')
      expect([code, lines(stderr)]).toEqual([255, [expect.stringContaining('is paused')]])
    } finally {
      await docker('unpause', container.name)
    }
    terminal.send('after\n')
    await terminal.expect(/after\r\n.*after/s)
    terminal.send('\x04')
    expect(await terminal.exit()).toBe(0)
  })

  test('stopped and started again: the next session works', async () => {
    await docker('stop', '-t', '1', container.name)
    const { code, stderr } = await client.exec('true')
    expect([code, lines(stderr)]).toEqual([255, [expect.stringMatching(/^hatchway: .*(stopped|exited|not running)/)]])
    await docker('start', container.name)
    expect((await client.exec('exit 5')).code).toBe(5)
  })
})

describe.each(GATEWAY_ROADS)('a gateway on %s that is told to stop', (name) => {
  let road: Road
  beforeEach(async () => {
    road = await openRoad(name)
  })
  afterEach(() => road?.close())

  test('waits for the session that runs, takes no new one, and exits 0', async () => {
    const mark = testMark()
    const script = `until [ -e /tmp/${mark} ]; do sleep 0.1; done; echo done; exit 6`
    const session: Promise<Finished> = road.client.exec(script)
    await until('the session runs', async () => (await road.container.count(mark)) > 0)
    const stopped = road.gateway?.stop(15_000)
    await draining(road)
    expect((await road.client.exec('true')).code).toBe(255)
    await road.container.inside(`touch /tmp/${mark}`)
    const { code, stdout } = await session
    expect([code, stdout.toString()]).toEqual([6, 'done\n'])
    expect(await stopped).toBe(0)
  })

  test('ends at once when told twice, and its sessions with it', async () => {
    const mark = testMark()
    const session = road.client.exec(`sh -c 'sleep 60; : ${mark}'`)
    await until('the session runs', async () => (await road.container.count(mark)) > 0)
    const stopped = road.gateway?.stop(15_000)
    await draining(road)
    if (road.gateway) process.kill(road.gateway.pid, 'SIGTERM')
    // Not by the KILL of the end of those 15 s.
    expect(await stopped).not.toBe('SIGKILL')
    expect((await session).code).toBe(255)
    await until('nothing is left inside', async () => (await road.container.count(mark)) === 0, GONE_LIMIT)
  })
})

/** It has taken the first SIGTERM. */
function draining({ gateway }: Road): Promise<unknown> {
  return until('draining', () => gateway?.log().includes('"draining"'))
}

function lines(bytes: Buffer): string[] {
  return bytes
    .toString()
    .split(/\r?\n/)
    .filter((line) => line !== '')
}
