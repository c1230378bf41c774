/** A gateway's pool in a process of its own, to be killed -9: compiled once for the test, started with its arguments as JSON. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import type { GuestSettings } from '../../src/guest/settings.ts'
import type { GuestUser } from '../../src/guest/user.ts'
import { bundleProgram, PROJECT } from '../support/bundle.ts'
import { until } from '../support/wait.ts'

/** Says where it is: "begin", "delivered", "up" when the script runs; and stays. */
const PROGRAM = `
import { createDockerEngine } from '${PROJECT}/src/engine/docker/docker.ts'
import { createGuestPool } from '${PROJECT}/src/guest/pool.ts'
const { container, script, settings, user, socket, aheadMs } = JSON.parse(process.argv[2])
const now = Date.now
Date.now = () => now() + aheadMs
const engine = createDockerEngine({ endpoint: 'unix://' + socket })
const say = (fields, message) => console.error(message, JSON.stringify(fields))
const pool = createGuestPool(engine, settings, { info: say, warn: say })
const limit = AbortSignal.timeout(60_000)
const found = await engine.inspect(container, limit)
console.log('begin')
const guest = await pool.acquire(found, user, limit)
console.log('delivered')
await guest.spawn(
  { program: 'sh', argv: ['sh', '-c', script], env: ['PATH=/bin:/usr/bin'], cwd: '/', cwdWarning: '', killTree: false },
  { write: () => true },
  limit,
)
console.log('up')
setInterval(() => {}, 60_000)
`

export interface GatewayArguments {
  readonly container: string
  readonly script: string
  readonly settings: GuestSettings
  readonly user: GuestUser
  readonly socket?: string
  /** How far its clock is ahead. */
  readonly aheadMs?: number
}

export interface StartedGateway {
  readonly child: ChildProcess
  said(word: 'begin' | 'delivered' | 'up'): Promise<void>
  kill(): Promise<void>
}

export interface BuiltGateway {
  start(options: GatewayArguments): StartedGateway
  remove(): Promise<void>
}

export async function buildGateway(): Promise<BuiltGateway> {
  const { file, remove } = await bundleProgram(PROGRAM)
  return {
    start(options) {
      const whole = { socket: '/var/run/docker.sock', aheadMs: 0, ...options }
      const child = spawn(process.execPath, [file, JSON.stringify(whole)], {
        stdio: ['ignore', 'pipe', 'pipe'],
      })
      let text = ''
      child.stdout.on('data', (chunk) => (text += chunk))
      child.stderr.on('data', (chunk) => (text += chunk))
      return {
        child,
        async said(word) {
          await until(`the gateway to say ${word}`, () => text.includes(`${word}\n`), 60_000, 10)
        },
        async kill() {
          if (child.exitCode !== null || child.signalCode !== null) return
          const ended = once(child, 'exit')
          child.kill('SIGKILL')
          await ended
        },
      }
    },
    remove,
  }
}
