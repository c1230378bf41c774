/** docs/security.md says what a hundred hostile connections can make the gateway hold; here they try. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { afterEach, expect, test } from 'vitest'
import { startServer, type TestServer } from './support.ts'

const MB = 1024 * 1024
const CONNECTIONS = 100

let server: TestServer | undefined
let child: ChildProcess | undefined
afterEach(async () => {
  child?.kill('SIGKILL')
  await server?.close()
})

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc')

function held(): number {
  collect()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

/** The most that is held above what was before, while all of them do their worst. */
async function most(mode: 'before' | 'after'): Promise<number> {
  server = await startServer({
    limits: { maxStartups: { start: CONNECTIONS + 1, rate: 100, full: CONNECTIONS + 1 } },
    handlers: () => ({ forward: () => new Promise(() => {}) }),
    session: (session) => {
      session.accept()
      // What a helper's credit lets come, whatever is answered.
      if (session.start.kind === 'exec' && session.start.command.equals(Buffer.from('flood')))
        for (let i = 0; i < 32; i++) session.write(1, Buffer.alloc(64 * 1024))
    },
    authenticator: { password: () => new Promise(() => {}) },
  })
  const before = held()
  let most = 0
  const timer = setInterval(() => {
    most = Math.max(most, held() - before)
  }, 1000)
  const args = [join(import.meta.dirname, 'flood.mjs'), mode, String(server.port), join(server.folder.path, 'user')]
  child = spawn(process.execPath, [...args, String(CONNECTIONS)], { stdio: ['ignore', 'pipe', 'inherit'] })
  const [line] = await once(child.stdout as NodeJS.ReadableStream, 'data')
  clearInterval(timer)
  most = Math.max(most, held() - before)
  expect(String(line)).toBe(`done: ${CONNECTIONS}\n`)
  return most
}

test('a hundred hostile connections before the login hold less than 100 MB', async () => {
  expect(await most('before')).toBeLessThan(100 * MB)
}, 60_000)

test('a hundred hostile connections of one key hold less than 400 MB', async () => {
  expect(await most('after')).toBeLessThan(400 * MB)
}, 60_000)
