/** A trail is whole, and whoever changes it is found. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { appendFile, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { execa } from 'execa'
import { rolldown } from 'rolldown'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { AUDIT_NAMESPACE } from '../../../src/evidence/audit/signing-key.ts'
import { until } from '../../support/wait.ts'
import { trailFolder } from './world.ts'

let world: Awaited<ReturnType<typeof trailFolder>>
beforeEach(async () => {
  world = await trailFolder()
})
afterEach(() => world.remove())

const record = (number: number) => ({ at: new Date(0).toISOString(), action: 'test', outcome: 'ok', number })

/** A trail of ten records and a head, closed. */
async function written(records = 10): Promise<void> {
  const trail = await world.open()
  for (let number = 1; number <= records; number++) trail.add(record(number))
  await trail.close()
}

async function verifyHead(head: string, signature: string, namespace = AUDIT_NAMESPACE) {
  const args = ['-Y', 'verify', '-f', world.allowed, '-I', AUDIT_NAMESPACE, '-n', namespace, '-s', signature]
  return execa('ssh-keygen', args, { inputFile: head, reject: false })
}

describe('a trail', () => {
  test('has each record in its order, each with the hash of the one before, and a signed head at its end', async () => {
    await written()
    const lines = (await world.lines()).map((line) => JSON.parse(line))
    expect(lines.map(({ seq }) => seq)).toEqual(Array.from({ length: 12 }, (_, index) => index + 1))
    expect(lines.map(({ action }) => action)).toEqual(['trail', ...Array(10).fill('test'), 'head'])
    expect(await world.verify()).toMatchObject({ problems: [], notes: [], files: 1, records: 12, heads: 1, first: 1 })
    expect((await stat(world.file)).mode & 0o777).toBe(0o600)
  })

  test('has heads that ssh-keygen verifies, and no other text or namespace', async () => {
    await written()
    const [head, signature] = [`${world.file}.head`, `${world.file}.head.sig`]
    expect(await verifyHead(head, signature)).toMatchObject({ exitCode: 0 })
    expect((await verifyHead(head, signature, 'file')).exitCode).not.toBe(0)
    const text = await readFile(head, 'utf8')
    expect(JSON.parse(text)).toMatchObject({ format: 'hatchway-audit-head-1', seq: 11, file: 1 })
    await writeFile(head, text.replace('"seq":11', '"seq":10'))
    expect((await verifyHead(head, signature)).exitCode).not.toBe(0)
  })

  test('is checked by a signature that ssh-keygen made, too', async () => {
    const { sshSigner } = await import('../../../src/evidence/sshsig.ts')
    const message = join(world.folder, 'message')
    await writeFile(message, 'hello\n')
    await execa('ssh-keygen', ['-q', '-Y', 'sign', '-f', world.key.file, '-n', AUDIT_NAMESPACE, message])
    const signature = await readFile(`${message}.sig`, 'utf8')
    expect(sshSigner(Buffer.from('hello\n'), AUDIT_NAMESPACE, signature)).toEqual(world.key.blob)
    expect(sshSigner(Buffer.from('hello\n'), 'file', signature)).toBeUndefined()
    expect(sshSigner(Buffer.from('hullo\n'), AUDIT_NAMESPACE, signature)).toBeUndefined()
  })

  test('goes on where it ended, by the next process', async () => {
    await written()
    await written()
    expect(await world.verify()).toMatchObject({ problems: [], files: 1, records: 23, heads: 2 })
  })

  test('is of one writer: each of several gateways has one of its own, and who was killed keeps none', async () => {
    const first = await world.open()
    const others = await Promise.all([world.open(), world.open(), world.open()])
    const names = [first, ...others].map(({ file }) => file)
    expect(names.sort()).toEqual([world.file, `${world.file}-2`, `${world.file}-3`, `${world.file}-4`])
    for (const [at, trail] of [first, ...others].entries()) trail.add(record(at))
    await Promise.all([first, ...others].map((trail) => trail.close()))
    const again = await world.open()
    expect(again.file).toBe(world.file)
    await again.close()
    const all = await world.verifyAll()
    expect(all.map(({ problems, records }) => ({ problems, records }))).toEqual([
      { problems: [], records: 4 },
      ...Array(3).fill({ problems: [], records: 3 }),
    ])
    expect((await readdir(world.folder)).filter((name) => name.includes('.lock'))).toEqual([])
    // One of them is gone: nothing here says so, but what an anchor has.
    const anchor = join(world.folder, 'anchor')
    await writeFile(anchor, world.heads.map((head) => `${JSON.stringify(head)}\n`).join(''))
    expect((await world.verifyAll([anchor])).flatMap(({ problems }) => problems)).toEqual([])
    await rm(`${world.file}-3`)
    expect((await world.verifyAll()).flatMap(({ problems }) => problems)).toEqual([])
    expect((await world.verifyAll([anchor])).flatMap(({ problems }) => problems).join('\n')).toMatch(
      /heads of trail .*, which is not here/,
    )
  })

  test('that cannot be where it is configured is a sentence', async () => {
    await expect(world.open({ file: join(world.folder, 'none', 'audit.jsonl') })).rejects.toThrow(
      /audit\.file .* cannot be written/,
    )
    await expect(world.open({ file: world.folder })).rejects.toThrow(/audit\.file .* cannot be written/)
  })

  test('takes ten thousand records and more in one second', async () => {
    const trail = await world.open({ rotateSize: 1024 * 1024 })
    const before = performance.now()
    for (let number = 0; number < 20_000; number++)
      trail.add({ ...record(number), path: '/home/dev/project/src/main.ts' })
    await trail.settled()
    const took = performance.now() - before
    await trail.close()
    const { problems, records, files } = await world.verify()
    expect({ problems, files: files > 2 }).toEqual({ problems: [], files: true })
    // Each file has a first and a last record of its own.
    expect(records).toBe(20_000 + 2 * files)
    // On an idle machine a fifth of it.
    expect(took).toBeLessThan(20_000)
  })
})

describe('whoever changes a trail is found:', () => {
  test.each<[string, (lines: string[]) => string[], RegExp]>([
    [
      'a changed byte',
      (lines) => lines.map((line, at) => (at === 4 ? line.replace('"number":4', '"number":5') : line)),
      /audit\.jsonl:5 or :6 was changed: record 6 does not follow record 5/,
    ],
    [
      'a changed last record',
      (lines) => lines.map((line, at) => (at === 10 ? line.replace('"number":10', '"number":11') : line)),
      /was changed|says/,
    ],
    ['a removed record', (lines) => lines.filter((_, at) => at !== 4), /removed, moved or added/],
    [
      'two that changed places',
      (lines) => [...lines.slice(0, 4), lines[5] ?? '', lines[4] ?? '', ...lines.slice(6)],
      /removed, moved or added/,
    ],
    [
      'a record that came twice',
      (lines) => [...lines.slice(0, 5), lines[4] ?? '', ...lines.slice(5)],
      /removed, moved or added/,
    ],
    ['a line of something else', (lines) => [...lines.slice(0, 5), '{"seq":"no"}', ...lines.slice(5)], /is no record/],
    ['a lost beginning', (lines) => lines.slice(1), /does not begin as a file/],
    ['a cut end, by the head beside it', (lines) => lines.slice(0, -4), /its end was cut off/],
  ])('%s', async (_, change, what) => {
    await written()
    await world.change(change)
    expect((await world.verify()).problems.join('\n')).toMatch(what)
  })

  test('one who numbers all records anew and removes the head beside it, by a head that is elsewhere', async () => {
    const { CHAIN_START, link } = await import('../../../src/evidence/audit/chain.ts')
    await written()
    const anchor = join(world.folder, 'anchor')
    await writeFile(anchor, world.heads.map((head) => `${JSON.stringify(head)}\n`).join(''))
    let end = CHAIN_START
    await world.change((lines) =>
      lines
        .filter((line) => !line.includes('"number":4') && !line.includes('"action":"head"'))
        .map((line) => {
          const linked = link(`{${line.slice(line.indexOf('"at"'))}`, end)
          end = linked.end
          return linked.line
        }),
    )
    await rm(`${world.file}.head`)
    expect((await world.verify()).problems).toEqual([])
    expect((await world.verify([anchor])).problems.join('\n')).toMatch(/its end was cut off/)
  })

  test('a cut end, by a head that is elsewhere; a forged head there, too', async () => {
    await written()
    const anchor = join(world.folder, 'anchor')
    const [head] = world.heads
    await writeFile(anchor, `${JSON.stringify(head)}\n`)
    expect((await world.verify([anchor])).problems).toEqual([])
    await world.change((lines) => lines.slice(0, -4))
    await rm(`${world.file}.head`)
    expect((await world.verify()).problems).toEqual([])
    expect((await world.verify([anchor])).problems.join('\n')).toMatch(
      /anchor:1 has a head of record 11, and the trail ends at 8/,
    )
    await writeFile(anchor, `${JSON.stringify({ ...head, head: head?.head.replace('"seq":11', '"seq":7') })}\n`)
    expect((await world.verify([anchor])).problems.join('\n')).toMatch(/not signed by a key/)
  })

  test('a head that another key signed', async () => {
    await written()
    const other = await trailFolder()
    const trail = await other.open()
    await trail.close()
    expect((await world.verify([], other.file)).problems.join('\n')).toMatch(
      /is signed by SHA256:.*, which is not a key that may sign/,
    )
    await other.remove()
  })

  test('a rotated file that is gone, changed, or swapped for another', async () => {
    const trail = await world.open({ rotateSize: 2000 })
    for (let number = 1; number <= 60; number++) {
      trail.add(record(number))
      if (number % 10 === 0) await trail.settled()
    }
    await trail.close()
    expect((await world.verify()).problems).toEqual([])
    const [one, two, three] = ['000001', '000002', '000003'].map((name) => `${world.file}.${name}`) as [
      string,
      string,
      string,
    ]
    expect(await verifyHead(`${two}.head`, `${two}.head.sig`)).toMatchObject({ exitCode: 0 })
    await rename(two, join(world.folder, 'aside'))
    expect((await world.verify()).problems.join('\n')).toMatch(/is file 3 of the trail, after file 1/)
    await rename(three, two)
    await rename(join(world.folder, 'aside'), three)
    expect((await world.verify()).problems.join('\n')).toMatch(/removed, moved or added/)
    await rename(two, join(world.folder, 'aside'))
    await rename(three, two)
    await rename(join(world.folder, 'aside'), three)
    expect((await world.verify()).problems).toEqual([])
    // What a retention removed is the beginning, and said.
    await rm(one)
    const { problems, notes } = await world.verify()
    expect(problems).toEqual([])
    expect(notes.join('\n')).toMatch(/what was before is not here/)
  })
})

describe('a writer that was killed', () => {
  test('in the middle of a record: what is there is sealed, said, and the trail goes on', async () => {
    await written()
    await appendFile(world.file, '{"seq":13,"prev":"00')
    expect((await world.verify()).notes.join('\n')).toMatch(/half a record/)
    await written()
    expect(world.said.map(({ msg }) => msg).join('\n')).toMatch(/killed in the middle of a record/)
    const { problems, records } = await world.verify()
    expect({ problems, records }).toEqual({ problems: [], records: 24 })
    // The half is evidence, too.
    await world.change((lines) =>
      lines.map((line) => (line === '{"seq":13,"prev":"00' ? '{"seq":13,"prev":"01' : line)),
    )
    expect((await world.verify()).problems.join('\n')).toMatch(/is no record, and nothing says why/)
  })

  test('after most of a record, or in the middle of sealing it', async () => {
    await written()
    const { size } = await stat(world.file)
    const { truncate } = await import('node:fs/promises')
    await truncate(world.file, size - 5)
    await rm(`${world.file}.head`)
    await written()
    expect((await world.verify()).problems).toEqual([])
    await appendFile(world.file, `{"seq":24,"prev":"${'0'.repeat(64)}","at":{"x":1}\n`)
    await written()
    const { problems, records } = await world.verify()
    expect({ problems, records }).toEqual({ problems: [], records: 35 })
  })

  test('before the first record of a file was whole, or between two files of a rotation', async () => {
    await writeFile(world.file, '{"seq":1,"pre')
    await written()
    expect((await world.verify()).problems).toEqual([])
    await rename(world.file, `${world.file}.000001`)
    await written()
    expect(await world.verify()).toMatchObject({ problems: [], files: 2, records: 24 })
  })

  test('whose last signed records never reached the disk: the next one says so', async () => {
    await written()
    await world.change((lines) => lines.slice(0, 5))
    await written()
    expect(world.said.map(({ msg }) => msg).join('\n')).toMatch(/ends before its last signed head/)
    expect((await world.lines()).some((line) => line.includes('"action":"cut"'))).toBe(true)
  })

  test('by SIGKILL at any time, again and again, leaves a trail that is whole', async () => {
    const program = join(world.folder, 'writer.mjs')
    const bundle = await rolldown({ input: WRITER, platform: 'node', logLevel: 'silent' })
    await bundle.write({ file: program, format: 'esm', codeSplitting: false })
    for (let round = 0; round < 5; round++) {
      const child = spawn(process.execPath, [program, world.folder], {
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      await once(child.stdout, 'data')
      await delay(20 + round * 37)
      child.kill('SIGKILL')
      await once(child, 'exit')
    }
    await written()
    const { problems, records } = await world.verify()
    expect(problems).toEqual([])
    expect(records).toBeGreaterThan(50)
  }, 60_000)

  test('a file that somebody else wrote is kept aside', async () => {
    await writeFile(world.file, 'hello\nworld\n')
    await written()
    expect((await readdir(world.folder)).some((name) => name.startsWith('audit.jsonl.unreadable-'))).toBe(true)
    expect((await world.verify()).problems).toEqual([])
  })
})

const WRITER = join(import.meta.dirname, 'writer.ts')

describe('a file that is moved away or changed while it is written', () => {
  test('is said, and the trail goes on in another', async () => {
    const trail = await world.open({ headEvery: 20 })
    trail.add(record(1))
    await trail.settled()
    await rename(world.file, join(world.folder, 'elsewhere'))
    trail.add(record(2))
    await until('it is said', () => world.said.some(({ msg }) => msg.includes('moved or removed')))
    trail.add(record(3))
    await trail.close()
    expect((await world.lines()).some((line) => line.includes('"number":3'))).toBe(true)
    expect((await world.verify()).notes.join('\n')).toMatch(/what was before is not here/)
  })

  test('a line that is added to it is said in the log and found', async () => {
    const trail = await world.open({ headEvery: 20 })
    await trail.settled()
    await appendFile(world.file, '{"forged":true}\n')
    await until('it is said', () => world.said.some(({ msg }) => msg.includes('changed by somebody else')))
    await trail.close()
    expect((await world.verify()).problems.join('\n')).toMatch(/is no record/)
  })
})
