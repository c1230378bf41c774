import { execFileSync } from 'node:child_process'
import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createLog, keepEscapes } from '../../src/observe/log.ts'
import { openSink } from '../../src/observe/log-sink.ts'
import { until } from '../support/wait.ts'

let directory: string
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'hw-test-log-'))
})
afterAll(() => rmSync(directory, { recursive: true }))

describe('the log', () => {
  it('writes one JSON object a line, with level and time in words', async () => {
    const file = join(directory, 'json.log')
    const { log, close } = await createLog({ level: 'info', format: 'json', file, commands: false, files: false })
    log.child({ connection: 'c1', target: 'dev@web' }).warn({ n: 1 }, 'text')
    log.debug('not this')
    await close()
    const [line, ...rest] = readFileSync(file, 'utf8').trim().split('\n')
    expect(rest).toEqual([])
    expect(JSON.parse(line ?? '')).toMatchObject({
      level: 'warn',
      connection: 'c1',
      target: 'dev@web',
      n: 1,
      msg: 'text',
    })
  })

  it('keeps secrets out, however deep', async () => {
    const file = join(directory, 'secret.log')
    const { log, close } = await createLog({ level: 'info', format: 'json', file, commands: false, files: false })
    log.info({ password: 's3cret', x11: { cookie: 's3cret' }, a: { b: { token: 's3cret' } } }, 'x')
    await close()
    const text = readFileSync(file, 'utf8')
    expect(text).toContain('[redacted]')
    expect(text).not.toContain('s3cret')
  })

  it('is readable on request, and shows hostile text without obeying it', async () => {
    const file = join(directory, 'pretty.log')
    const { log, close } = await createLog({ level: 'info', format: 'pretty', file, commands: false, files: false })
    log.info({ user: '\u001b[2J\u009b1mroot\\u001b' }, 'login \u001b]0;title\u0007 \b\r end \\')
    await close()
    const text = readFileSync(file, 'utf8')
    expect(text).toContain('INFO')
    expect(text).toContain('login')
    // biome-ignore lint/suspicious/noControlCharactersInRegex: none may be left
    expect(text).not.toMatch(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/)
  })

  it.each(['json', 'pretty'] as const)(
    'has no raw control character or mark of direction (%s), whatever a client said',
    async (format) => {
      const file = join(directory, `raw-${format}.log`)
      const { log, close } = await createLog({ level: 'info', format, file, commands: false, files: false })
      const hostile = 'x\u009b31m\u007f\u202eevil\u2066\u200f\u061c\u2028'
      log.child({ user: hostile }).info({ user: hostile, err: new Error(hostile) }, hostile)
      await close()
      const text = readFileSync(file, 'utf8')
      expect(text).toContain('evil')
      expect(text).not.toMatch(/[\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/)
      if (format === 'json') expect(JSON.parse(text).user).toBe(hostile)
    },
  )

  it.each(['\u001b', '\\u001b', '\\\u001b', '\\\\\u001b', 'a\\'])('keeps JSON valid when it disarms %j', (text) => {
    const once: unknown = JSON.parse(keepEscapes(JSON.stringify(text)))
    expect(once).not.toContain('\u001b')
  })

  it('cuts what an error repeats', async () => {
    const file = join(directory, 'error.log')
    const { log, close } = await createLog({ level: 'info', format: 'json', file, commands: false, files: false })
    log.info({ err: new Error('x'.repeat(100_000)) }, 'refused')
    await close()
    expect(readFileSync(file, 'utf8').length).toBeLessThan(10_000)
    expect(JSON.parse(readFileSync(file, 'utf8')).err).toMatchObject({
      type: 'Error',
      message: `${'x'.repeat(4000)}...`,
    })
  })

  it('opens its file anew after it was moved', async () => {
    const file = join(directory, 'rotated.log')
    const { log, reopen, close } = await createLog({
      level: 'info',
      format: 'json',
      file,
      commands: false,
      files: false,
    })
    log.info('one')
    await until('one is written', () => readFileSync(file, 'utf8').includes('one'))
    renameSync(file, `${file}.1`)
    reopen()
    log.info('two')
    await close()
    expect(readFileSync(file, 'utf8')).toContain('two')
    expect(readFileSync(`${file}.1`, 'utf8')).not.toContain('two')
  })
})

describe('a log sink', () => {
  it('loses lines on a full disk, says so once, and ends in time', async () => {
    const said: string[] = []
    const sink = openSink('/dev/full', (text) => said.push(text))
    for (let i = 0; i < 1000; i++) sink.write(`${'x'.repeat(10_000)}\n`)
    const started = performance.now()
    await sink.close(300)
    expect(performance.now() - started).toBeLessThan(3_000)
    expect(said).toEqual([expect.stringMatching(/\/dev\/full cannot be written \(ENOSPC/)])
  })

  it('does not wait for a reader that stopped, and tells how much was lost once it reads again', async () => {
    const fifo = join(directory, 'fifo')
    execFileSync('mkfifo', [fifo])
    // Read and write: opening never waits, and there is a reader that never reads.
    const { openSync, readSync, closeSync, constants } = await import('node:fs')
    const reader = openSync(fifo, constants.O_RDWR | constants.O_NONBLOCK)
    const sink = openSink(fifo, () => undefined)
    for (let i = 0; i < 1000; i++) sink.write(`${'x'.repeat(10_000)}\n`)
    const started = performance.now()
    await sink.close(200)
    expect(performance.now() - started).toBeLessThan(3_000)
    const buffer = Buffer.alloc(1024 * 1024)
    let text = ''
    await until('the loss is told', () => {
      try {
        text = (text + buffer.toString('latin1', 0, readSync(reader, buffer))).slice(-200)
      } catch {
        // EAGAIN: nothing to read at the moment.
      }
      return text.includes('log lines were lost')
    })
    expect(Number(/"lost":(\d+)/.exec(text)?.[1])).toBeGreaterThan(100)
    await sink.close(1_000)
    closeSync(reader)
  })

  it('writes on when the directory comes back', async () => {
    const file = join(directory, 'later', 'x.log')
    const said: string[] = []
    const sink = openSink(file, (text) => said.push(text))
    sink.write('line\n')
    expect(said).toHaveLength(1)
    execFileSync('mkdir', [join(directory, 'later')])
    await until('the file is there', () => existsSync(file) && readFileSync(file, 'utf8') === 'line\n')
    await sink.close()
  })

  it('makes a file that only its owner reads', async () => {
    const file = join(directory, 'mode.log')
    const sink = openSink(file, () => undefined)
    sink.write('x\n')
    await sink.close()
    expect(execFileSync('stat', ['-c', '%a', file], { encoding: 'utf8' }).trim()).toBe('600')
    writeFileSync(file, '')
  })
})
