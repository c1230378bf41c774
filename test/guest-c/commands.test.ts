import { execFile, execFileSync, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync, rmSync, statSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { expect, test } from 'vitest'
import { real } from './binary.ts'

const guest = fileURLToPath(new URL('../../guest/', import.meta.url))

test('hold says its pid and stays until its stdin ends', async () => {
  const child = spawn(real.binary, ['hold'], { stdio: 'pipe' })
  const [line] = (await once(child.stdout, 'data')) as [Buffer]
  expect(line.toString()).toBe(`${child.pid}\n`)
  // Dumpable: an exec of /proc/PID/root passes ptrace's access check only then. proc(5): else its files are root's.
  expect(statSync(`/proc/${child.pid}/root`).uid).toBe(process.getuid?.())
  child.stdin.write('ignored')
  await new Promise((resolve) => setTimeout(resolve, 200))
  expect(child.exitCode).toBeNull()
  child.stdin.end()
  const [code] = await once(child, 'exit')
  expect(code).toBe(0)
})

test('version and wrong use', async () => {
  const run = promisify(execFile)
  expect((await run(real.binary, ['version'])).stdout).toMatch(/^hatchway-guest protocol 1 (x64|arm64)\n$/)
  for (const args of [[], ['server'], ['serve', 'more']]) {
    await expect(run(real.binary, args)).rejects.toMatchObject({ code: 2, stderr: expect.stringContaining('usage:') })
  }
})

test('serve wants pipes or sockets', async () => {
  const run = promisify(execFile)
  await expect(run('sh', ['-c', '"$0" serve </dev/null', real.binary])).rejects.toMatchObject({ code: 1 })
})

test('the binary is static, small, and the same each time it is built', { timeout: 120_000 }, () => {
  const hash = () => createHash('sha256').update(readFileSync(real.binary)).digest('hex')
  const copy = `${guest}build/again`
  const before = hash()
  execFileSync('sh', [
    '-c',
    `mkdir -p ${guest}build && mkdir ${copy}.$$ && cp ${guest}*.c ${guest}*.h ${guest}Makefile ${copy}.$$ && cd ${copy}.$$ && rm -rf bin && make -s all && cp bin/${real.binary.split('/').at(-1)} ${copy} && rm -rf ${copy}.$$`,
  ])
  expect(createHash('sha256').update(readFileSync(copy)).digest('hex')).toBe(before)
  rmSync(copy)
  expect(statSync(real.binary).size).toBeLessThan(100_000)
  // No PT_INTERP: no dynamic loader is asked for, which a scratch image would not have.
  expect(execFileSync('readelf', ['-lW', real.binary]).toString()).not.toContain('INTERP')
})

test('make has nothing to do when nothing changed', () => {
  const before = statSync(real.binary).mtimeMs
  expect(execFileSync('make', ['-C', guest, '--no-print-directory']).toString()).not.toContain('-o bin/')
  expect(statSync(real.binary).mtimeMs).toBe(before)
})
