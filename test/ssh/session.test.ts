/** Sessions with the real OpenSSH client. */
import { afterEach, expect, test } from 'vitest'
import type { PtyRequest, SessionStart } from '../../src/ssh/session.ts'
import { program, type RunOptions, ssh, startServer, type TestServer, type TestServerOptions } from './support.ts'

let server: TestServer

afterEach(() => server?.close())

async function once(options: TestServerOptions, args: string[], more: RunOptions & { first?: string[] } = {}) {
  server = await startServer(options)
  return ssh(server, args, more)
}

test('runs a command, keeps stdout and stderr apart and gives its exit code', async () => {
  let started: SessionStart | undefined
  const result = await once(
    {
      session: program(async (session, write) => {
        started = session.start
        await write(1, 'out\n')
        await write(2, 'err\n')
        return { code: 7 }
      }),
    },
    ['say "hello"   $HOME'],
  )
  expect(started).toEqual({ kind: 'exec', command: Buffer.from('say "hello"   $HOME') })
  expect(result.stdout.toString()).toBe('out\n')
  expect(result.stderr.toString()).toBe('err\n')
  expect(result.code).toBe(7)
})

test('gives back binary input of 20 MB unchanged', async () => {
  const input = Buffer.alloc(20 * 1024 * 1024)
  for (let i = 0; i < input.length; i += 4) input.writeUInt32LE((i * 2654435761) >>> 0, i)
  const result = await once({}, ['cat'], { input })
  expect(result.code).toBe(0)
  expect(result.stdout.equals(input)).toBe(true)
})

test('asks for a terminal with its size and all its modes', async () => {
  let pty: PtyRequest | undefined
  await once(
    {
      session: program(async (session) => {
        pty = session.pty
        return { code: 0 }
      }),
    },
    ['-tt', 'true'],
    { env: { TERM: 'xterm-256color' } },
  )
  expect(pty?.term).toBe('xterm-256color')
  expect(pty?.modes.at(-1)).toBe(0)
  expect(((pty?.modes.length ?? 0) - 1) % 5).toBe(0)
})
