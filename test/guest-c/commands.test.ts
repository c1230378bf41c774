import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { chmodSync, copyFileSync, lstatSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterEach, expect, test } from 'vitest'
import { real } from './binary.ts'
import { alive } from './suite.ts'

const guest = fileURLToPath(new URL('../../guest/', import.meta.url))

/** What a test leaves behind, also where it fails: processes, with those of their groups, and folders. */
const processes: ChildProcess[] = []
const folders: string[] = []
afterEach(() => {
  for (const { pid } of processes.splice(0)) {
    try {
      process.kill(-(pid ?? Number.NaN), 'SIGKILL')
    } catch {
      // It is gone.
    }
  }
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true })
})

/** In a process group of its own. */
function start(program: string, args: readonly string[], who: { uid?: number; gid?: number } = {}) {
  const child = spawn(program, args, { stdio: 'pipe', detached: true, ...who })
  processes.push(child)
  return child
}

function scratch(): string {
  const folder = mkdtempSync(`${tmpdir()}/hw-test-commands-`)
  folders.push(folder)
  return folder
}

test('hold says its pid and stays until its stdin ends', async () => {
  const { child, pid } = await hold(10_000)
  expect(pid).toBe(`${child.pid}\n`)
  // Dumpable: an exec of /proc/PID/root passes ptrace's access check only then. proc(5): else its files are root's.
  expect(lstatSync(`/proc/${child.pid}/root`).uid).toBe(process.getuid?.())
  child.stdin.write('ignored')
  await new Promise((resolve) => setTimeout(resolve, 200))
  expect(child.exitCode).toBeNull()
  child.stdin.end()
  const [code] = await once(child, 'exit')
  expect(code).toBe(0)
})

test('hold ends by itself, and stays no longer than a minute whoever asks', async () => {
  const { child } = await hold(300)
  expect(await once(child, 'exit')).toEqual([0, null])
  for (const wrong of ['60001', '1s', '', '-1']) {
    await expect(promisify(execFile)(real.binary, ['hold', wrong])).rejects.toMatchObject({ code: 2 })
  }
})

test('hold has given up all that it does not need before anybody could attach to it', async () => {
  const { child } = await hold(10_000)
  const status = readFileSync(`/proc/${child.pid}/status`, 'utf8')
  expect(status).toMatch(/^NoNewPrivs:\t1$/m)
  expect(status).toMatch(/^Seccomp:\t2$/m)
  expect(readFileSync(`/proc/${child.pid}/limits`, 'utf8')).toMatch(/^Max cpu time +1 +1 +seconds/m)
  child.stdin.end()
})

test.skipIf(process.getuid?.() !== 0)(
  'a holder whose file nobody may read can be attached to no sooner (needs root)',
  async () => {
    const folder = scratch()
    chmodSync(folder, 0o755)
    const program = `${folder}/hold`
    copyFileSync(real.binary, program)
    chmodSync(program, 0o111)
    // Not the holder's command: how the kernel starts it, and what it makes of that.
    const child = start(program, ['serve'], { uid: 1000, gid: 1000 })
    const started = start(program, ['hold', '10000'], { uid: 1000, gid: 1000 })
    const [line] = (await once(started.stdout, 'data')) as [Buffer]
    expect(line.toString()).toBe(`${started.pid}\n`)
    expect(lstatSync(`/proc/${started.pid}/root`).uid).toBe(1000)
    expect(lstatSync(`/proc/${child.pid}/root`).uid).toBe(0)
  },
)

test.skipIf(process.arch !== 'x64')('who attaches to a holder gains nothing (its registers are x86-64’s)', async () => {
  const trace = `${guest}build/trace`
  execFileSync('cc', ['-O1', '-o', trace, fileURLToPath(new URL('trace.c', import.meta.url))])
  // mmap, fork, openat, execve, socket, rt_sigprocmask
  for (const call of [9, 57, 257, 59, 41, 14]) {
    const { child } = await hold(10_000)
    const { stdout } = await promisify(execFile)(trace, [String(child.pid), String(call)])
    expect([call, stdout]).toEqual([call, 'killed by 31\n'])
  }
  const { child } = await hold(10_000)
  // clock_gettime is its own.
  expect((await promisify(execFile)(trace, [String(child.pid), '228'])).stdout).toMatch(/^answered -?\d+\n$/)
})

async function hold(milliseconds: number) {
  const child = start(real.binary, ['hold', String(milliseconds)])
  const [line] = (await once(child.stdout, 'data')) as [Buffer]
  return { child, pid: line.toString() }
}

test('end kills the session of who has the mark among its arguments, and nobody else', async () => {
  const mark = `mark-${'x'.repeat(20)}`
  const script = 'sleep 60 & echo "$!"; wait'
  const family = async (...args: string[]) => {
    // A long argument before it, as a script is.
    const child = start('sh', ['-c', script, '#'.repeat(5000), ...args])
    const [line] = (await once(child.stdout, 'data')) as [Buffer]
    return Number(line)
  }
  const [marked, longer, shorter] = [
    await family('a', mark, 'b'),
    await family(`${mark}x`),
    await family(mark.slice(1)),
  ]
  await promisify(execFile)(real.binary, ['end', mark])
  await expect.poll(() => [marked, longer, shorter].map(alive)).toEqual([false, true, true])
})

const noOthers = process.getuid?.() === 0 ? undefined : 'being another user, or in another root, needs root'

test.skipIf(noOthers)(
  'end lets another user’s process and one in another root be, whatever their arguments are',
  async () => {
    const folder = scratch()
    const mark = '/marked'
    copyFileSync(real.binary, `${folder}${mark}`)
    const spare = [
      start('sh', ['-c', 'echo on; sleep 60', mark], { uid: 1000, gid: 1000 }),
      start('chroot', [folder, mark, 'hold', '60000']),
    ]
    const ours = start('sh', ['-c', 'echo on; sleep 60', mark])
    for (const { stdout } of [...spare, ours]) await once(stdout, 'data')
    await promisify(execFile)(real.binary, ['end', mark])
    await expect.poll(() => ours.signalCode).toBe('SIGKILL')
    expect(spare.map(({ signalCode }) => signalCode)).toEqual([null, null])
  },
)

test('version and wrong use', async () => {
  const run = promisify(execFile)
  expect((await run(real.binary, ['version'])).stdout).toMatch(/^hatchway-guest protocol 1 (x64|arm64)\n$/)
  for (const args of [[], ['server'], ['serve', '1:1', 'more'], ['end', '']]) {
    await expect(run(real.binary, args)).rejects.toMatchObject({ code: 2, stderr: expect.stringContaining('usage:') })
  }
  await expect(run(real.binary, ['serve', 'more'])).rejects.toMatchObject({
    code: 2,
    stderr: expect.stringContaining('not UID:GID'),
  })
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
