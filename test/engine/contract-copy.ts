import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { expect } from 'vitest'
import { copiesOf } from '../support/copies.ts'
import { run } from '../support/run.ts'
import type { Promised } from './contract-bench.ts'
import { runIn } from './run.ts'

const soon = () => AbortSignal.timeout(20_000)
const LIMIT = 1024 * 1024

/** What the real tar says of it. */
async function tar(input: Buffer, ...args: string[]): Promise<string> {
  return (await run('tar', [...args], { input })).stdout.toString()
}

async function pack(script: string): Promise<Buffer> {
  const shell = `d=$(mktemp -d) && cd $d && ${script}; tar --owner=0 --group=0 -c .; rm -rf $d`
  return (await run('sh', ['-c', shell])).stdout
}

export function copyTests(promised: Promised): void {
  promised('copies a file out as tar', async ({ engine, id }) => {
    await runIn(engine, id, ['sh', '-c', 'echo content >/tmp/out.txt'])
    const bytes = await copiesOf(engine).copyOut(id, '/tmp/out.txt', LIMIT, soon())
    expect(await tar(bytes ?? Buffer.alloc(0), '-xO', 'out.txt')).toBe('content\n')
  })

  promised('copies out of a stopped container', async ({ engine, ground, container }) => {
    const { id } = await container()
    await ground.control('stop', '-t', '1', id)
    const bytes = await copiesOf(engine).copyOut(id, '/etc/passwd', LIMIT, soon())
    expect(await tar(bytes ?? Buffer.alloc(0), '-xO', 'passwd')).toMatch(/^root:/)
  })

  promised('answers nothing for a path that is not there', async ({ engine, id }) => {
    expect(await copiesOf(engine).copyOut(id, '/no/such', LIMIT, soon())).toBeUndefined()
  })

  promised('tells that a file is another, where it can tell without reading it', async ({ engine, id }) => {
    const { statPath } = copiesOf(engine)
    if (!statPath) return expect(engine.kind).toBe('cli')
    const seen = () => statPath(id, '/tmp/seen', soon())
    const write = (text: string) => runIn(engine, id, ['sh', '-c', `echo ${text} >/tmp/seen`])
    expect(await seen()).toBeUndefined()
    await write('one')
    const first = await seen()
    expect(first).toBeTypeOf('string')
    expect(await seen()).toBe(first)
    await write('two')
    expect(await seen()).not.toBe(first)
    expect(await statPath('f'.repeat(64), '/tmp/seen', soon())).toBeUndefined()
  })

  promised('says CONTAINER_NOT_FOUND when there is no container to copy from', async ({ engine }) => {
    const copying = copiesOf(engine).copyOut('f'.repeat(64), '/etc/passwd', LIMIT, soon())
    await expect(copying).rejects.toMatchObject({ code: 'CONTAINER_NOT_FOUND' })
  })

  promised('does not follow a link at the end of the path', async ({ engine, id }) => {
    await runIn(engine, id, ['ln', '-sf', '/etc/passwd', '/tmp/link'])
    const bytes = await copiesOf(engine).copyOut(id, '/tmp/link', LIMIT, soon())
    expect(await tar(bytes ?? Buffer.alloc(0), '-tv')).toMatch(/^l.* -> /)
  })

  promised('takes no more than the limit out of a large file', async ({ engine, id }) => {
    await runIn(engine, id, ['sh', '-c', 'head -c 8000000 /dev/zero >/tmp/large'])
    const bytes = await copiesOf(engine).copyOut(id, '/tmp/large', 100_000, soon())
    expect(bytes?.length).toBe(100_000)
  })

  promised('copies a tar in as root, with its modes', async ({ engine, id }) => {
    const archive = await pack('echo "#!/bin/sh" >run && echo "echo ran" >>run && chmod 755 run')
    await copiesOf(engine).copyIn(id, '/tmp', archive, soon())
    const ran = await runIn(engine, id, ['sh', '-c', '/tmp/run; stat -c "%u %a" /tmp/run'])
    expect(ran.text).toBe('ran\n0 755\n')
  })

  promised('streams a file of 10 MB in and out again', async ({ engine, id }) => {
    const content = randomBytes(10_000_000)
    const packing = await mkdtemp(join(tmpdir(), 'hw-test-tar-'))
    await writeFile(join(packing, 'big'), content)
    const archive = Readable.from((await run('tar', ['-C', packing, '-c', 'big'])).stdout)
    await rm(packing, { recursive: true })
    await copiesOf(engine).writeArchive(id, '/tmp', archive, soon())
    const stream = await copiesOf(engine).readArchive(id, '/tmp/big', soon())
    const { stdout } = await run('tar', ['-xO', 'big'], { input: await buffer(stream ?? Readable.from([])) })
    expect(stdout.equals(content)).toBe(true)
  })

  promised('lets go of an archive that is not read to its end', async ({ engine, id }) => {
    await runIn(engine, id, ['sh', '-c', 'head -c 50000000 /dev/zero >/tmp/huge'])
    const stream = await copiesOf(engine).readArchive(id, '/tmp/huge', soon())
    await once(stream ?? Readable.from([]), 'readable')
    stream?.destroy()
    // The next one would wait for a lock that is not given back.
    expect(await copiesOf(engine).copyOut(id, '/etc/passwd', LIMIT, soon())).toBeDefined()
  })

  promised(
    'answers a stream of nothing, of no container, and into no directory, as the copies do',
    async ({ engine, container }) => {
      const { id } = await container('--read-only')
      expect(await copiesOf(engine).readArchive(id, '/no/such', soon())).toBeUndefined()
      const other = 'f'.repeat(64)
      await expect(copiesOf(engine).readArchive(other, '/etc', soon())).rejects.toMatchObject({
        code: 'CONTAINER_NOT_FOUND',
      })
      const archive = async () => Readable.from(await pack('echo x >x'))
      const lost = copiesOf(engine).writeArchive(id, '/no/such', await archive(), soon())
      await expect(lost).rejects.toMatchObject({ code: 'ENGINE_ERROR' })
      const nowhere = copiesOf(engine).writeArchive(other, '/tmp', await archive(), soon())
      await expect(nowhere).rejects.toMatchObject({ code: 'CONTAINER_NOT_FOUND' })
    },
  )

  promised('says why nothing was copied in', async ({ engine, container }) => {
    const archive = await pack('echo x >x')
    const { id } = await container('--read-only')
    await expect(copiesOf(engine).copyIn(id, '/no/such', archive, soon())).rejects.toMatchObject({
      code: 'ENGINE_ERROR',
    })
    const other = copiesOf(engine).copyIn('f'.repeat(64), '/tmp', archive, soon())
    await expect(other).rejects.toMatchObject({ code: 'CONTAINER_NOT_FOUND' })
  })
}
