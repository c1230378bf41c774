/** /etc/passwd as bytes, by an exec and by the copy call: the same of both, and no copy call in a container with volumes. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { HatchwayError } from '../../src/base/errors.ts'
import { readInside } from '../../src/container/inside-file.ts'
import { createCliEngine } from '../../src/engine/cli/cli.ts'
import { createDockerEngine } from '../../src/engine/docker/docker.ts'
import type { Engine } from '../../src/engine/engine.ts'
import { deadline } from '../../src/lifetime/deadline.ts'
import { sharedContainers, startContainer, type TestImage } from '../support/containers.ts'
import { copiesOf } from '../support/copies.ts'

const FILE = '/etc/passwd'

/** Of both engines' tests. */
const containers = sharedContainers()
afterAll(() => containers.remove(), 60_000)

describe.each(['docker', 'cli'] as const)('on %s', (kind) => {
  let engine: Engine
  let copies = 0
  beforeAll(() => {
    const real =
      kind === 'docker'
        ? createDockerEngine({ endpoint: 'unix:///var/run/docker.sock' })
        : createCliEngine({ binary: 'docker' })
    const counted = <Args extends readonly unknown[], Answer>(call: (...args: Args) => Answer) => {
      return (...args: Args) => {
        copies++
        return call(...args)
      }
    }
    const known = copiesOf(real)
    const { copyOut, statPath } = known
    const both = { copyOut: counted(copyOut), ...(statPath && { statPath: counted(statPath) }) }
    engine = { ...real, copies: { ...known, ...both } }
  })
  afterAll(() => engine.close())

  async function read(image: TestImage, args: readonly string[], change = '', maxBytes?: number) {
    const { id } = await containers.start(image, args, change)
    copies = 0
    const about = await engine.inspect(id, deadline(20_000))
    return readInside(engine, about, FILE, deadline(20_000), maxBytes)
  }

  const CHANGES = {
    'as it is': '',
    'with bytes that are no text': `printf 'b\\377d:x:1:1::/:/bin/sh' >>${FILE}`,
    'behind a link': `mv ${FILE} /etc/real; ln -s ../etc/real ${FILE}`,
    empty: `: >${FILE}`,
    'readable by nobody': `chmod 0 ${FILE}`,
    missing: `rm ${FILE}`,
    'a link to nothing': `rm ${FILE}; ln -s nothing ${FILE}`,
  }
  test.each(Object.entries(CHANGES))('%s: an exec reads what the copy call reads', async (_, change) => {
    const copied = await read('debian', [], change)
    expect(copies).toBeGreaterThan(0)
    const executed = await read('debian', ['-v', '/data', '--user', '1000:1000'], change)
    expect([copies, executed.content, executed.seen]).toEqual([0, copied.content, []])
  })

  test('a tmpfs is no volume', async () => {
    await read('busybox', ['--tmpfs', '/data'])
    expect(copies).toBeGreaterThan(0)
  })

  test.each([
    ['by the copy call', []],
    ['by an exec', ['-v', '/data']],
  ])('one that is too large is refused, and not taken in: %s', async (_, args) => {
    await expect(read('busybox', args, `seq 20000 >>${FILE}`, 64 * 1024)).rejects.toMatchObject({ code: 'USER_BROKEN' })
    expect((await read('busybox', args, `seq 2000 >>${FILE}`, 64 * 1024)).content?.length).toBeGreaterThan(8000)
  })

  test('without a shell, and where an exec is forbidden, the copy call reads it', async () => {
    expect((await read('scratch', ['-v', '/data'])).content).toBeUndefined()
    expect(copies).toBeGreaterThan(0)
    const { exec } = engine
    engine.exec = () => Promise.reject(new HatchwayError('ENGINE_ERROR', 'forbidden by an authorization plugin'))
    try {
      expect((await read('busybox', ['-v', '/data'])).content?.toString()).toContain('root:')
    } finally {
      engine.exec = exec
    }
  })

  test.each([
    ['a directory', `mkdir ${FILE}`],
    ['a loop of links', `ln -s passwd ${FILE}`],
  ])('%s in its place, which the engine’s exec itself fails at: the copy call says what is there', async (_, make) => {
    const found = await read('busybox', ['-v', '/data'], `rm ${FILE}; ${make}`)
    expect([found.content, copies > 0]).toEqual([undefined, true])
  })

  test('of a container that does not run the copy call reads it', async () => {
    const container = await startContainer('busybox', { args: ['-v', '/data'], command: ['true'] })
    try {
      const about = { ...(await engine.inspect(container.id, deadline(20_000))), state: 'exited' as const }
      expect((await readInside(engine, about, FILE, deadline(20_000))).content?.toString()).toContain('root:')
    } finally {
      await container.remove()
    }
  })
})
