/** A process that runs a program in a container and reads it, to be killed -9. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { rolldown } from 'rolldown'
import { until } from './wait.ts'

const PROJECT = resolve(import.meta.dirname, '../..')

const PROGRAM = `
import { createContainerdEngine } from '${PROJECT}/src/engine/containerd/containerd.ts'
const { id, ...options } = JSON.parse(process.argv[2])
const engine = createContainerdEngine(options)
const argv = ['sh', '-c', 'while :; do echo out; sleep 0.1; done']
const sink = { write(fd, chunk) { process.stdout.write(chunk); return true } }
await engine.exec(id, { argv, user: '0:0', cwd: '/', env: [] }, sink, AbortSignal.timeout(20_000))
setInterval(() => {}, 60_000)
`

export interface Reader {
  readonly pid: number
  kill(): Promise<void>
  remove(): Promise<void>
}

/** Resolves when it has read something. */
export async function startReader(options: object): Promise<Reader> {
  const built = await mkdtemp(join(tmpdir(), 'hw-test-reader-'))
  await writeFile(join(built, 'reader.ts'), PROGRAM)
  const bundle = await rolldown({ input: join(built, 'reader.ts'), platform: 'node', external: [] })
  await bundle.write({ file: join(built, 'reader.mjs'), format: 'esm' })
  const child = spawn('node', [join(built, 'reader.mjs'), JSON.stringify(options)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let said = ''
  child.stdout.on('data', (chunk: Buffer) => {
    said += chunk.toString()
  })
  await until('it reads', () => said.includes('out'))
  return {
    pid: child.pid ?? 0,
    async kill() {
      const gone = once(child, 'exit')
      child.kill('SIGKILL')
      await gone
    },
    remove: () => rm(built, { recursive: true, force: true }),
  }
}
