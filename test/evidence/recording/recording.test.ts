/** What a session showed is in its record, byte for byte, and stays readable whatever happens. */
import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { recordingSigner } from '../../../src/evidence/recording/manifest.ts'
import { readCast } from '../../../src/evidence/recording/read-stream.ts'
import { readRecord } from '../../../src/evidence/recording/records.ts'
import { all, bytesIn, castOf, ended, openWorld, session } from './world.ts'

test('is an asciicast v3 with what was shown, resized and its end', async () => {
  const { begin, directory } = await openWorld()
  const recording = await begin()
  recording.output(1, Buffer.from('$ grüße\r\n'))
  recording.resize({ cols: 1000, rows: 1000, widthPx: 0, heightPx: 0 } as never)
  const manifest = await ended(recording, { code: 3 })
  const [head, ...lines] = gunzipSync(readFileSync(join(directory, recording.id, 'session.cast.gz')))
    .toString()
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
  expect(head).toMatchObject({ version: 3, term: { cols: 80, rows: 24, type: 'xterm' }, title: 'dev@web' })
  expect(lines.map(([, ...rest]) => rest)).toEqual([
    ['o', '$ grüße\r\n'],
    ['r', '1000x1000'],
    ['x', '3'],
  ])
  expect(manifest).toMatchObject({ state: 'complete', outcome: { code: 3 }, gaps: { count: 0, bytes: 0 } })
  expect(readdirSync(join(directory, recording.id)).sort()).toEqual([
    'manifest.json',
    'manifest.json.sig',
    'session.cast.gz',
  ])
})

test('puts characters together that come in pieces, and keeps bytes that are none', async () => {
  const { begin, directory } = await openWorld()
  const recording = await begin()
  const all = Buffer.concat([
    Buffer.from('a€😀\0\x1b[1m'),
    Buffer.from([0xff, 0xc3, 0x28, 0xed, 0xa0, 0x80, 0xf5, 0x80, 0xe2, 0x82]),
    Buffer.from('z'),
    Buffer.from([0xf0, 0x9f]),
  ])
  for (const byte of all) recording.output(1, Buffer.of(byte))
  await ended(recording)
  expect(await bytesIn(directory, recording.id, 'o')).toEqual(all)
  const shown = (await castOf(directory, recording.id)).filter(({ code }) => code === 'o').map(({ data }) => data)
  expect(shown.join('').slice(0, 10)).toBe('a€😀\0\x1b[1m\ufffd')
  expect(shown.at(-1)).toBe('\ufffd')
})

test('keeps random bytes of stdout and stderr apart, and what is binary only once', async () => {
  const { begin, directory } = await openWorld()
  const tty = false
  const recording = await begin({ session: session({ tty, start: 'exec' }), pty: undefined, command: 'tar c' })
  const bytes = Buffer.from(Array.from({ length: 100_000 }, (_, index) => (index * 2_654_435_761) >>> 13))
  recording.output(1, bytes)
  recording.output(2, Buffer.from('tar: removing leading /\n'))
  recording.output(1, bytes)
  await ended(recording)
  expect(await bytesIn(directory, recording.id, 'o')).toEqual(Buffer.concat([bytes, bytes]))
  expect((await bytesIn(directory, recording.id, 'e')).toString()).toBe('tar: removing leading /\n')
  const { header, events } = await readCast(join(directory, recording.id, 'session.cast.gz'))
  expect(header).toEqual({
    version: 3,
    term: { cols: 80, rows: 24 },
    timestamp: expect.any(Number),
    title: 'dev@web',
    command: 'tar c',
  })
  const shown = (await all(events)).filter(({ code }) => code === 'o')
  expect(shown.map(({ data }) => data)).toEqual(['', ''])
})

test('takes lent chunks: what comes into the same buffer later changes nothing', async () => {
  const { begin, directory } = await openWorld()
  const recording = await begin()
  const lent = Buffer.from('first')
  recording.output(1, lent)
  lent.write('other')
  await ended(recording)
  expect((await bytesIn(directory, recording.id, 'o')).toString()).toBe('first')
})

test('records no input of a terminal, and that of a command where it is asked for', async () => {
  const { begin, directory } = await openWorld()
  const terms = { mode: 'required', of: ['terminal', 'commands', 'input'], notice: false } as const
  const shell = await begin({ terms })
  shell.input(Buffer.from('secret'))
  await ended(shell)
  expect(await castOf(directory, shell.id)).toMatchObject([{ code: 'x' }])
  const command = await begin({ terms, session: session({ tty: false, start: 'exec' }), pty: undefined })
  command.input(Buffer.from('typed'))
  await ended(command)
  expect((await bytesIn(directory, command.id, 'i')).toString()).toBe('typed')
  const unasked = await begin({ session: session({ tty: false, start: 'exec' }), pty: undefined })
  unasked.input(Buffer.from('typed'))
  await ended(unasked)
  expect(await castOf(directory, unasked.id)).toMatchObject([{ code: 'x' }])
})

test('can be read up to its last member while it is written, and after its writer is gone', async () => {
  const { begin, directory } = await openWorld()
  const recording = await begin()
  recording.output(1, Buffer.from('seen'))
  const shown = async () => (await bytesIn(directory, recording.id, 'o')).toString()
  await expect.poll(shown, { timeout: 2_000 }).toBe('seen')
  expect(await readRecord(directory, recording.id)).toMatchObject({ state: 'live', facts: { user: 'dev' } })
  const file = join(directory, recording.id, 'session.cast.gz')
  const whole = readFileSync(file)
  recording.output(1, Buffer.from('and more'.repeat(1000)))
  await ended(recording)
  const torn = readFileSync(file)
  for (const length of [whole.length, whole.length + 1, whole.length + 15, torn.length - 1]) {
    writeFileSync(file, torn.subarray(0, length))
    expect(await shown()).toMatch(/^seen/)
  }
})

test('is signed so that plain ssh-keygen checks it', async () => {
  const { begin, directory, key } = await openWorld()
  const recording = await begin()
  await ended(recording)
  const signers = join(directory, 'allowed_signers')
  writeFileSync(signers, recordingSigner(key.blob))
  const folder = join(directory, recording.id)
  const name = 'hatchway-recording'
  const check = ['-Y', 'verify', '-f', signers, '-I', name, '-n', name, '-s', join(folder, 'manifest.json.sig')]
  const manifest = readFileSync(join(folder, 'manifest.json'))
  expect(execFileSync('ssh-keygen', check, { input: manifest }).toString()).toContain('Good "hatchway-recording"')
  expect(() => execFileSync('ssh-keygen', check, { input: `${manifest} `, stdio: 'pipe' })).toThrow()
})

test('has what was done to files and by forwards beside it', async () => {
  const { begin, directory } = await openWorld()
  const recording = await begin({
    session: session({ tty: false, start: 'subsystem', command: 'sftp' }),
    pty: undefined,
  })
  recording.output(1, Buffer.from('packets'))
  recording.event({ type: 'file', operation: 'open', path: '/etc/passwd' })
  const manifest = await ended(recording)
  expect(manifest.streams.map(({ name }) => name)).toEqual(['events.jsonl.gz'])
  const lines = gunzipSync(readFileSync(join(directory, recording.id, 'events.jsonl.gz'))).toString()
  expect(JSON.parse(lines)).toEqual({ type: 'file', operation: 'open', path: '/etc/passwd' })
})
