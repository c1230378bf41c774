/**
 * scp's old protocol, between two real `scp` (its -f and its -t), with the tap between them; and whatever a hostile pair
 * may say.
 */
import { spawn } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { chmod, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { SftpOperation } from '../../src/sftp/operations.ts'
import { scpCommand } from '../../src/sftp/scp-command.ts'
import { createScpTap } from '../../src/sftp/scp-tap.ts'
import { pieces } from './wire.ts'

const sha256 = (bytes: Buffer | string) => createHash('sha256').update(bytes).digest('hex')

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hw-test-scp-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

/** One of the two is the client's, as the direction says. */
async function joined(direction: 'in' | 'out', from: string[], to: string[]): Promise<SftpOperation[]> {
  const told: SftpOperation[] = []
  const tap = createScpTap({ direction, given: 'given' }, (operation) => told.push(operation), true)
  const source = spawn('scp', ['-f', ...from], { stdio: ['pipe', 'pipe', 'ignore'] })
  const sink = spawn('scp', ['-t', ...to], { stdio: ['pipe', 'pipe', 'ignore'] })
  const sides: [typeof source, typeof sink, (chunk: Buffer) => void][] = [
    [source, sink, (chunk) => (direction === 'in' ? tap.input(chunk) : tap.output(1, chunk))],
    [sink, source, (chunk) => (direction === 'in' ? tap.output(1, chunk) : tap.input(chunk))],
  ]
  for (const [one, other, hear] of sides) {
    other.stdin.on('error', () => {})
    one.stdout.on('data', (chunk: Buffer) => {
      hear(chunk)
      other.stdin.write(chunk)
    })
    one.stdout.on('end', () => other.stdin.end())
  }
  await Promise.all([once(source, 'close'), once(sink, 'close')])
  tap.end()
  return told
}

const CONTENT = randomBytes(300_000)
const whole = (path: string, bytes: Buffer | string, direction: 'in' | 'out' = 'in') => {
  const [name, read, written] =
    direction === 'in' ? (['upload', 0, bytes.length] as const) : (['download', bytes.length, 0] as const)
  const hash = { [direction === 'in' ? 'sha256Written' : 'sha256Read']: sha256(bytes) }
  return {
    name,
    path,
    given: 'given',
    size: bytes.length,
    bytesRead: read,
    bytesWritten: written,
    ...hash,
    result: 'OK',
  }
}

describe('two scp', () => {
  test.each(['in', 'out'] as const)('one file %s, and its times', async (direction) => {
    await writeFile(join(folder, 'file with space'), CONTENT)
    const told = await joined(direction, ['-p', join(folder, 'file with space')], ['-p', join(folder, 'copy')])
    expect(told).toEqual([whole('file with space', CONTENT, direction)])
    expect(await readFile(join(folder, 'copy'))).toEqual(CONTENT)
  })

  test('a tree, an empty file and what lies behind a folder', async () => {
    await mkdir(join(folder, 'tree/sub'), { recursive: true })
    await writeFile(join(folder, 'tree/sub/empty'), '')
    await writeFile(join(folder, 'tree/sub/one'), 'one')
    await writeFile(join(folder, 'tree/z'), CONTENT)
    const told = await joined('in', ['-r', join(folder, 'tree')], ['-r', join(folder, 'copy')])
    const sorted = told.toSorted((a, b) => a.path.localeCompare(b.path))
    expect(sorted).toEqual([whole('tree/sub/empty', ''), whole('tree/sub/one', 'one'), whole('tree/z', CONTENT)])
  })

  test('what is not taken is a failure, and what comes after is followed', async () => {
    await mkdir(join(folder, 'to/refused'), { recursive: true })
    for (const name of ['a', 'refused', 'z']) await writeFile(join(folder, name), name)
    const told = await joined(
      'in',
      ['a', 'refused', 'z'].map((name) => join(folder, name)),
      ['-d', join(folder, 'to')],
    )
    expect(told).toMatchObject([
      whole('a', 'a'),
      { name: 'upload', path: 'refused', bytesWritten: 0, partial: true, result: 'FAILURE' },
      whole('z', 'z'),
    ])
  })

  test('a file that is missing, and a folder that is not asked for, hide nothing', async () => {
    await mkdir(join(folder, 'sub'))
    await symlink('/nonexistent', join(folder, 'dangling'))
    await writeFile(join(folder, 'z'), 'z')
    await mkdir(join(folder, 'to'))
    const from = ['sub', 'dangling', 'none', 'z'].map((name) => join(folder, name))
    expect(await joined('out', from, ['-d', join(folder, 'to')])).toEqual([whole('z', 'z', 'out')])
  })

  test('a folder that cannot be made is left out with all that is in it', async () => {
    await mkdir(join(folder, 'tree/sub'), { recursive: true })
    await writeFile(join(folder, 'tree/sub/one'), 'one')
    await mkdir(join(folder, 'to/tree'), { recursive: true })
    // No folder can be made where a file is.
    await writeFile(join(folder, 'to/tree/sub'), '')
    await chmod(join(folder, 'to/tree/sub'), 0o600)
    expect(await joined('in', ['-r', join(folder, 'tree')], ['-r', '-d', join(folder, 'to')])).toEqual([])
  })
})

type Step = readonly ['in' | 'out', string]

function told(steps: readonly Step[], size = 1 << 20): SftpOperation[] {
  const operations: SftpOperation[] = []
  const tap = createScpTap({ direction: 'in', given: 'given' }, (operation) => operations.push(operation), true)
  for (const [way, said] of steps)
    for (const piece of pieces(Buffer.from(said, 'latin1'), () => size)) {
      if (way === 'in') tap.input(piece)
      else tap.output(1, piece)
      piece.fill(0xff)
    }
  tap.end()
  return operations
}
const LOST = { name: 'unfollowed', path: 'given', result: 'BAD_MESSAGE' }

test.each([1, 2, 3, 1 << 20])('a client that waits for no answer is followed, in pieces of %i', (size) => {
  const all = 'T1 0 1 0\nD0755 0 d\nC0644 3 a\nabc\0C0600 0 b\n\0E\nC0644 1 c\nx\0'
  const found = told(
    [
      ['in', all],
      ['out', '\0'.repeat(10)],
    ],
    size,
  )
  expect(found).toEqual([whole('d/a', 'abc'), whole('d/b', ''), whole('c', 'x')])
})

test.each<[string, Step[], object[]]>([
  [
    'a refusal after the bytes were sent',
    [
      ['in', 'C0644 3 a\nabc\0'],
      ['out', '\0\u0001no\n'],
    ],
    [{ path: 'a', result: 'UNKNOWN' }, LOST],
  ],
  [
    'a sender that could not read it all',
    [
      ['out', '\0'],
      ['in', 'C0644 3 a\n'],
      ['out', '\0'],
      ['in', 'abc\u0001a: read error\n'],
      ['out', '\0'],
    ],
    [{ path: 'a', result: 'FAILURE' }],
  ],
  [
    'a sink whose disk is full',
    [
      ['out', '\0'],
      ['in', 'C0644 3 a\n'],
      ['out', '\0'],
      ['in', 'abc\0'],
      ['out', '\u0001full\n'],
    ],
    [{ path: 'a', result: 'FAILURE' }],
  ],
  [
    'an end in the middle',
    [
      ['out', '\0'],
      ['in', 'C0644 3 a\n'],
      ['out', '\0'],
      ['in', 'ab'],
    ],
    [{ path: 'a', bytesWritten: 2, partial: true, result: 'UNKNOWN' }],
  ],
  [
    'no verdict behind the bytes',
    [
      ['out', '\0'],
      ['in', 'C0644 3 a\n'],
      ['out', '\0'],
      ['in', 'abcC0644 1 b\n'],
    ],
    [{ path: 'a', result: 'UNKNOWN' }, LOST],
  ],
  [
    'another protocol',
    [
      ['out', '\0'],
      ['in', 'GET / HTTP/1.1\n'],
    ],
    [LOST],
  ],
  ['a name with a folder in it', [['in', 'C0644 3 ../a\n']], [LOST]],
  ['a size that is none', [['in', `C0644 ${'9'.repeat(16)} a\n`]], [LOST]],
  ['more answers than questions', [['out', '\0\0']], [LOST]],
  ['a shell that says hello', [['out', 'Welcome!\n']], [LOST]],
  ['a line without an end', [['in', 'x'.repeat(10_000)]], [LOST]],
  ['a sentence without an end', [['out', `\u0001${'x'.repeat(10_000)}`]], [LOST]],
  ['folders without an end', [['in', 'D0755 0 d\n'.repeat(1000)]], [LOST]],
  ['files without an answer', [['in', 'C0644 0 a\n\0'.repeat(2000)]], [...Array(512).fill({ path: 'a' }), LOST]],
])('%s', (_what, steps, expected) => {
  for (const size of [1, 1 << 20]) {
    const found = told(steps, size)
    expect(found).toHaveLength(expected.length)
    expect(found).toMatchObject(expected)
  }
})

test('takes any bytes at all', () => {
  const words = [
    'C0644 3 a\n',
    'abc',
    '\0',
    'D0755 0 d\n',
    'E\n',
    'T1 0 1 0\n',
    '\u0001no\n',
    '\u0002',
    'x',
    '\n',
    'C0',
    '\xff',
  ]
  const any = () => Array.from({ length: 20 }, () => words[(randomBytes(1)[0] ?? 0) % words.length]).join('')
  for (let round = 0; round < 3000; round++)
    told(
      [
        ['out', any()],
        ['in', any()],
        ['out', any()],
        ['in', any()],
      ],
      1 + (round % 7),
    )
})

test.each([
  ['scp -t /tmp/x', { direction: 'in', given: '/tmp/x' }],
  ['scp -f -- /tmp/x', { direction: 'out', given: '/tmp/x' }],
  ['/usr/bin/scp -v -r -p -t "a b"', { direction: 'in', given: '"a b"' }],
  ['scp -rpdt .', { direction: 'in', given: '.' }],
  ['scp -f a b', { direction: 'out', given: 'a b' }],
  ['scp a host:b', undefined],
  ['scp -tf x', undefined],
  ['scp', undefined],
  ['scp -t', undefined],
  ['scpd -t x', undefined],
  ['echo scp -t x', undefined],
  ['rsync --server . x', undefined],
])('%j', (command, expected) => expect(scpCommand(command)).toEqual(expected))

test('a command of any length is read at once', () => {
  const before = performance.now()
  for (const text of [
    `scp ${'-a '.repeat(80_000)}`,
    `scp -t ${' '.repeat(250_000)}`,
    `${'/a'.repeat(120_000)}`,
    `scp -t ${'x '.repeat(120_000)}`,
    `scp -t a${' '.repeat(250_000)}b`,
  ])
    scpCommand(text)
  expect(performance.now() - before).toBeLessThan(1_000)
})
