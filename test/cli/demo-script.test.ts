/** `./hatchway demo` around a gateway that starts, fails and dies as no real one does when it is wanted to. No engine is needed. */
import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { copySource, type Source } from '../packaging/source.ts'
import { run } from '../support/run.ts'
import { until } from '../support/wait.ts'

const TIMEOUT = 120_000
const DEMO = 'hw-test-no-such-demo'

let source: Source
let bin: string
const state = (file: string) => join(source.folder, 'keys', 'demo', file)

beforeAll(async () => {
  source = await copySource()
  bin = await mkdtemp(join(tmpdir(), 'hw-test-bin-'))
  const script = (file: string, text: string) => writeFile(file, `#!/bin/sh\n${text}\n`).then(() => chmod(file, 0o755))
  for (const name of ['engine.sh', 'images.sh']) await script(join(source.folder, 'scripts', name), 'exit 0')
  await script(join(bin, 'docker'), 'case $1 in inspect) echo true ;; esac')
  // It answers as the container does, where the port is the one of the gateway that was started last.
  await script(join(bin, 'ssh'), `case " $* " in *" -p 4002 "*) printf 'dev\\n${DEMO}\\n'; exit 42 ;; esac; exit 255`)
  await mkdir(join(source.folder, 'dist'), { recursive: true })
  await mkdir(state('.'), { recursive: true })
})
afterEach(async () => {
  await demo('--stop')
})
afterAll(async () => {
  await source?.close()
  await rm(bin, { recursive: true, force: true })
})

/** @param says what the gateway logs, and then it goes on */
async function gatewayThat(says: string): Promise<void> {
  const text = `setTimeout(() => console.error(${JSON.stringify(says)}), 100); setInterval(() => {}, 1_000)`
  await writeFile(join(source.folder, 'dist', 'main.js'), text)
  await writeFile(join(source.folder, 'dist', '.hatchway-built'), '')
}

async function demo(...args: string[]) {
  const env = { HATCHWAY_TEST_DEMO: DEMO, PATH: `${bin}:${process.env.PATH}` }
  const { code, stdout, stderr } = await run('./hatchway', ['demo', ...args], {
    cwd: source.folder,
    env,
    limit: TIMEOUT,
  })
  return { code, out: stdout.toString(), err: stderr.toString() }
}

const listening = (port: number) => `{"host":"127.0.0.1","port":${port},"msg":"listening"}`
const pid = async () => Number(await readFile(state('pid'), 'utf8'))
const isGone = (pid: number) => {
  try {
    return process.kill(pid, 0) && undefined
  } catch {
    return true
  }
}

test(
  'what an earlier gateway logged is not taken for the new one’s, and that it is dead is no error',
  async () => {
    await gatewayThat(listening(4002))
    await writeFile(state('log'), `${listening(4001)}\n`)
    await writeFile(state('pid'), '4194305\n')
    const { code, out, err } = await demo('--stay')
    expect([code, err]).toEqual([0, expect.not.stringMatching(/No such file|4194305/)])
    expect(out).toContain('-p 4002 ')
    expect(await demo('--stay')).toMatchObject({ code: 0, err: expect.stringContaining('the gateway runs already') })
    const first = await pid()
    expect(await demo('--stop')).toMatchObject({ code: 0, err: expect.stringContaining(`(pid ${first})`) })
    expect(isGone(first)).toBe(true)
  },
  TIMEOUT,
)

test(
  'a gateway that does not say where it listens is not left behind',
  async () => {
    await gatewayThat(`{"msg":"listening","pid":PID}`)
    const started = await demo('--stay')
    expect(started).toMatchObject({ code: 1, err: expect.stringContaining('does not say where it listens') })
    await expect(pid()).rejects.toThrow('ENOENT')
    const pattern = `${source.folder}/dist/main.js serve`
    await until('it is gone', async () => (await run('pgrep', ['-f', pattern])).code === 1)
  },
  TIMEOUT,
)
