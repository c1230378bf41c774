/** Heads go elsewhere, and an elsewhere that is slow or broken holds up nothing. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pino } from 'pino'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createAnchor } from '../../../src/evidence/audit/anchor.ts'
import { until } from '../../support/wait.ts'
import { trailFolder } from './world.ts'

let world: Awaited<ReturnType<typeof trailFolder>>
beforeEach(async () => {
  world = await trailFolder()
})
afterEach(() => world.remove())

const log = () => {
  const said: { msg: string; reason?: string }[] = []
  return { said, log: pino({}, { write: (line: string) => void said.push(JSON.parse(line)) }) }
}
const head = (text: string) => ({ head: `${text}\n`, signature: 's' })

async function script(text: string): Promise<string> {
  const path = join(world.folder, 'keep')
  await writeFile(path, `#!/bin/sh\n${text}\n`, { mode: 0o755 })
  return path
}

test('a file gets each head of a trail as a line, by which the trail is verified', async () => {
  const file = join(world.folder, 'heads')
  const anchor = createAnchor({ anchorFile: file }, log().log)
  for (const _ of [1, 2]) {
    const trail = await world.open({}, { anchor: anchor.give })
    trail.add({ at: '', action: 'test' })
    await trail.close()
    await anchor.settled()
  }
  expect((await world.lines(file)).length).toBe(2)
  expect((await world.verify([file])).problems).toEqual([])
})

test('a program gets it on stdin, and nothing of the gateway’s environment', async () => {
  process.env.HW_TEST_SECRET = 'secret'
  const out = join(world.folder, 'out')
  const anchor = createAnchor({ anchorCommand: [await script(`cat >>"$1"; env >>"$1"`), out] }, log().log)
  anchor.give(head('one'))
  await anchor.settled()
  delete process.env.HW_TEST_SECRET
  const [line, ...env] = (await readFile(out, 'utf8')).split('\n')
  expect(JSON.parse(line ?? '')).toEqual(head('one'))
  expect(env.join()).not.toContain('secret')
})

test('one that hangs is ended with its children, said once, and the latest head comes next', async () => {
  const out = join(world.folder, 'out')
  const slow = join(world.folder, 'slow')
  await writeFile(slow, '')
  const { said, log: logger } = log()
  const program = await script(`[ -e ${slow} ] && { sleep 60 & wait; }\ncat >>${out}`)
  const anchor = createAnchor({ anchorCommand: [program] }, logger, 300)
  for (const text of ['one', 'two', 'three']) anchor.give(head(text))
  await until('it was said', () => said.length > 0)
  expect(said).toMatchObject([
    { msg: 'the anchor of the audit trail does not take its heads', reason: 'it took longer than 300 ms' },
  ])
  await writeFile(slow, '')
    .then(() => import('node:fs/promises'))
    .then(({ rm }) => rm(slow))
  await anchor.settled()
  anchor.give(head('four'))
  await anchor.settled()
  expect(await readFile(out, 'utf8')).toContain('four')
  expect(said.at(-1)?.msg).toMatch(/takes heads again/)
})

test('a program that is not there, or that others may change, is said; one without a path is refused', async () => {
  const { said, log: logger } = log()
  const anchor = createAnchor({ anchorCommand: ['/nonexistent/keep'] }, logger)
  anchor.give(head('one'))
  await anchor.settled()
  expect(said).toHaveLength(1)
  expect(() => createAnchor({ anchorCommand: ['keep'] }, logger)).toThrow(
    'audit.anchorCommand: its program must be an absolute path',
  )
})
