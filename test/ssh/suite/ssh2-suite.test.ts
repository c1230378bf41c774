/**
 * ssh2's own test files, run as they were published with the package, in processes that load our layer first: what the
 * layer changes in lib/protocol breaks nothing that ssh2 promises.
 */
import { readdirSync } from 'node:fs'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { run } from '../../support/run.ts'

const load = createRequire(import.meta.url)
const TESTS = path.join(path.dirname(load.resolve('ssh2/package.json')), 'test')
const LIMIT = 120_000
/** Known by name, so that a package without them does not pass. */
const FILES = [
  'test-exec.js',
  'test-integration-openssh.js',
  'test-keygen.js',
  'test-misc-client-server.js',
  'test-openssh.js',
  'test-protocol-crypto.js',
  'test-protocol-keyparser.js',
  'test-server-hostkeys.js',
  'test-sftp.js',
  'test-shell.js',
  'test-userauth-agent-openssh.js',
  'test-userauth-agent.js',
  'test-userauth.js',
  'test-worker-imports.js',
]

let folder: string
let preload: string
// Plain node cannot run TypeScript; below node_modules the compiled layer finds the same ssh2 as the test files.
beforeAll(async () => {
  const cache = path.resolve(import.meta.dirname, '../../../node_modules/.cache')
  await mkdir(cache, { recursive: true })
  folder = await mkdtemp(path.join(cache, 'hatchway-layer-'))
  const tsc = path.resolve(import.meta.dirname, '../../../node_modules/.bin/tsc')
  const compiled = await run(tsc, ['-p', import.meta.dirname, '--outDir', folder], { limit: LIMIT })
  if (compiled.code !== 0) throw new Error(`the layer does not compile: ${compiled.stdout}${compiled.stderr}`)
  preload = `--import=${pathToFileURL(path.join(folder, 'ssh/ssh2.js'))}`
}, LIMIT)
afterAll(() => rm(folder, { recursive: true, force: true }))

test('all of the test files are known here', () => {
  expect(readdirSync(TESTS).filter((file) => file.startsWith('test-'))).toEqual(FILES)
})

test('the layer is on in these processes', async () => {
  const program = `
    const has = (file, mark) => Reflect.has(require('ssh2/lib/protocol/' + file), Symbol.for(mark))
    console.log(has('kex.js', 'hatchway.kex'), has('crypto.js', 'hatchway.ssh2'))`
  const cwd = path.resolve(import.meta.dirname, '../../..')
  const off = await run(process.execPath, ['-e', program], { cwd })
  expect(off.stdout.toString()).toBe('false false\n')
  const on = await run(process.execPath, [preload, '-e', program], { cwd })
  expect(on.stdout.toString()).toBe('true true\n')
})

test.each(FILES)(
  '%s',
  async (file) => {
    const done = await run(process.execPath, [preload, file], { cwd: TESTS, limit: LIMIT })
    expect({ code: done.code, signal: done.signal, stderr: done.stderr.toString() }).toEqual({
      code: 0,
      signal: undefined,
      stderr: expect.any(String),
    })
  },
  LIMIT,
)
