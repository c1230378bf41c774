/** The built gateway as a child process, as a person starts it: `node dist/main.js serve ...`. */
import { type ChildProcess, spawn } from 'node:child_process'
import { rmSync } from 'node:fs'
import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { z } from 'zod'
import { sharedHostKeys } from '../run/shared.ts'
import { MAIN } from './program.ts'
import { run } from './run.ts'
import type { Keys, Target } from './ssh.ts'
import { until } from './wait.ts'

export { MAIN }

export interface GatewayOptions {
  readonly keys: Keys
  /** Undefined: what the configuration says, which may name several. */
  readonly engine: 'auto' | 'docker' | 'cli' | 'kubernetes' | undefined
  readonly guest?: 'auto' | 'off' | 'require'
  readonly args?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** Another copy of the program: its dist/main.js. */
  readonly main?: string
  /** prlimit(1)'s options, such as --nofile=64. */
  readonly limits?: readonly string[]
  /** Program and arguments that replace themselves by what follows them: unshare(1) and such. */
  readonly within?: readonly string[]
}

export interface Gateway {
  readonly host: string
  readonly port: number
  readonly pid: number
  /** Its log so far, one JSON text a line. */
  readonly log: () => string
  target(user: string): Target
  /** SIGTERM, then SIGKILL after `limit`; answers the exit code or the signal's name. Idempotent. */
  stop(limit?: number): Promise<number | string>
}

/**
 * The run's host keys, or one set for the gateways of this process: an RSA key of 3072 bits takes seconds. A copy each,
 * because a gateway owns its directory.
 */
let hostKeys: string | Promise<string> | undefined = sharedHostKeys()

async function makeHostKeys(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'hw-test-hostkeys-'))
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
  for (const type of ['ed25519', 'ecdsa', 'rsa']) {
    const file = join(folder, `ssh_host_${type}_key`)
    const made = await run('ssh-keygen', ['-q', '-t', type, '-N', '', '-f', file], { limit: 60_000 })
    if (made.code !== 0) throw new Error(`ssh-keygen: ${made.stderr.toString()}`)
  }
  return folder
}

const Listening = z.object({ msg: z.literal('listening'), host: z.string(), port: z.number() })

export async function startGateway(options: GatewayOptions): Promise<Gateway> {
  const state = await mkdtemp(join(tmpdir(), 'hw-test-gateway-'))
  hostKeys ??= makeHostKeys()
  await cp(await hostKeys, state, { recursive: true })
  // It replaces itself by the gateway: the pid stays.
  const limited = options.limits ? ['prlimit', ...options.limits] : []
  const [program, ...before] = [...(options.within ?? []), ...limited, process.execPath]
  const child = spawn(
    program ?? '',
    [
      ...before,
      options.main ?? MAIN,
      'serve',
      ...['--listen', '127.0.0.1:0', '--authorized-keys', options.keys.authorized, '--keys', state],
      ...(options.engine === undefined ? [] : ['--engine', options.engine]),
      ...['--guest', options.guest ?? 'auto'],
      ...(options.args ?? []),
    ],
    { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...options.env } },
  )
  let log = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8')
    stream?.on('data', (text: string) => {
      log += text
    })
  }
  const ended = new Promise<number | string>((resolve) => {
    child.once('error', (error) => resolve(error.message))
    child.once('exit', (code, signal) => resolve(signal ?? code ?? -1))
  })
  let over: number | string | undefined
  void ended.then((how) => {
    over = how
  })
  const listening = await until(
    'the gateway listens',
    () => {
      if (over !== undefined) throw new Error(`the gateway ended with ${over}:\n${log}`)
      return log.split('\n').map(parseListening).find(Boolean)
    },
    60_000,
  ).catch(async (error: unknown) => {
    child.kill('SIGKILL')
    await ended
    await rm(state, { recursive: true, force: true })
    throw error
  })
  return {
    ...listening,
    pid: child.pid ?? -1,
    log: () => log,
    target: (user) => ({ ...listening, user, key: options.keys.ed25519 }),
    stop: async (limit = 5000) => {
      const how = await stop(child, ended, limit)
      await rm(state, { recursive: true, force: true })
      return how
    },
  }
}

function parseListening(line: string): { host: string; port: number } | undefined {
  try {
    const { host, port } = Listening.parse(JSON.parse(line))
    return { host, port }
  } catch {
    return undefined
  }
}

async function stop(child: ChildProcess, ended: Promise<number | string>, limit: number): Promise<number | string> {
  child.kill('SIGTERM')
  const timer = setTimeout(() => child.kill('SIGKILL'), limit)
  const how = await ended
  clearTimeout(timer)
  return how
}
