/** An engine without a copy call, and whose exec carries nothing but argv: users are found, and the plain road is whole. */
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { Containers } from '../../src/container/containers.ts'
import { probeEnvInfo } from '../../src/container/envinfo.ts'
import { readInside } from '../../src/container/inside-file.ts'
import { createPlainRoad } from '../../src/container/plain.ts'
import { sessionProgram } from '../../src/container/program.ts'
import { runSftp } from '../../src/container/sftp.ts'
import type { Engine } from '../../src/engine/engine.ts'
import { copyApi } from '../../src/guest/deliver/copy.ts'
import { holderContainer } from '../../src/guest/deliver/holder.ts'
import { openJournal } from '../../src/guest/deliver/journal.ts'
import { localEngine } from '../support/local-engine.ts'
import { web } from '../support/people-and-places.ts'

const POOR = { user: 'none', cwd: false, env: false } as const
const patient = new AbortController().signal
const own = { ...web, user: `${process.getuid?.()}:${process.getgid?.()}` }

function sink() {
  const said: Record<1 | 2, string> = { 1: '', 2: '' }
  const write = (fd: 1 | 2, chunk: Buffer) => {
    said[fd] += chunk
    return true
  }
  return { write, said }
}

test('passwd is read by an exec, as the container’s own user', async () => {
  const engine = localEngine(POOR)
  const { content } = await readInside(engine, web, '/etc/passwd', patient)
  expect(content?.equals(await readFile('/etc/passwd'))).toBe(true)
  expect(engine.asked.map(({ user }) => user)).toEqual([''])
  expect((await readInside(engine, web, '/no/such', patient)).content).toBeUndefined()
})

test('of a container that does not run nobody can be found, and it says so', async () => {
  const asked = readInside(localEngine(POOR), { ...web, state: 'exited' }, '/etc/passwd', patient)
  await expect(asked).rejects.toMatchObject({ code: 'CONTAINER_NOT_RUNNING' })
})

test('the container’s own user has their variables, home and cookie on the plain road', async () => {
  const engine = localEngine(POOR)
  const { info } = await probeEnvInfo(engine, own, undefined, patient)
  const out = sink()
  const command = Buffer.from('pwd; echo "$GREETING"; env | grep -c "^HATCHWAY_SESSION=[0-9a-f]*\\.$$\\$"')
  const program = sessionProgram({ kind: 'exec', command }, { ...info, home: '/tmp', shell: '/bin/sh' }, [
    'PATH=/usr/bin:/bin',
    'GREETING=good day',
  ])
  const exec = await createPlainRoad(engine).run(own, info, program, undefined, out, patient)
  exec.stdin.end()
  expect([await exec.exit, out.said]).toEqual([{ code: 0 }, { 1: '/tmp\ngood day\n1\n', 2: '' }])
})

test('sftp that nothing inside can serve is refused with a sentence', async () => {
  const engine = localEngine(POOR)
  const stopped = { ...own, state: 'exited' } as const
  const { info } = await probeEnvInfo(engine, own, undefined, patient)
  const place = { road: createPlainRoad(engine), container: stopped, user: info, guest: undefined, killTree: false }
  const options = {
    readOnly: false,
    byShell: false,
    space: { take: () => true, give() {} },
    asRoot: async () => ({ readOnly: false }),
  }
  const asked = runSftp(place, info, [], options, sink(), patient)
  await expect(asked).rejects.toMatchObject({ code: 'NOT_SUPPORTED', message: expect.stringContaining('sftp') })
})

test('ways for the helper that need what the engine has not are not tried', () => {
  const delivery = { engine: localEngine(POOR), container: own, mountedAt: undefined }
  expect(copyApi.hopeless(delivery)).toBe('this engine has no copy call')
  expect(holderContainer.hopeless(delivery)).toBe('this engine cannot create containers')
})

test('the journal keeps an id of any engine as it is', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'hw-test-'))
  try {
    const path = `/.hatchway-guest-${'0'.repeat(32)}`
    for (const containerId of ['f'.repeat(64), `build1/${'f'.repeat(64)}`, 'ns/pod-1/app']) {
      const note = await openJournal(folder, undefined).note({ containerId, path })
      expect(await openJournal(folder, undefined).unfinished()).toMatchObject([{ containerId, path }])
      await note.done()
    }
  } finally {
    await rm(folder, { recursive: true })
  }
})

test('a container that may not be entered is not inspected, where an inspection runs a program inside', async () => {
  const inspected: string[] = []
  const engine: Engine = {
    ...localEngine(POOR),
    list: async () => [{ ...web, status: 'Up', createdAt: 0, ports: [], mounts: [] }],
    async inspect(ref) {
      inspected.push(ref)
      return web
    },
  }
  const containers = new Containers(engine)
  await expect(containers.resolve(web.name, async () => false, patient)).rejects.toMatchObject({
    code: 'CONTAINER_NOT_FOUND',
  })
  expect(inspected).toEqual([])
  expect((await containers.resolve(web.name, async () => true, patient)).name).toBe(web.name)
  expect(inspected).toEqual([web.id])
})
