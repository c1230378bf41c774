/** A pool over a real engine with a folder and a log of its own, and programs through it. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'vitest'
import type { ExitStatus } from '../../src/base/program.ts'
import { createCliEngine } from '../../src/engine/cli/cli.ts'
import { createDockerEngine } from '../../src/engine/docker/docker.ts'
import type { Container, Copies, Engine } from '../../src/engine/engine.ts'
import type { Guest, GuestExec, GuestSpawn } from '../../src/guest/guest.ts'
import { createGuestPool, type GuestPool } from '../../src/guest/pool.ts'
import type { GuestSettings } from '../../src/guest/settings.ts'
import type { GuestUser } from '../../src/guest/user.ts'
import { startContainer, type TestContainer } from '../support/containers.ts'
import { Sink } from './fake-helper.ts'

export const LIMIT = () => AbortSignal.timeout(60_000)
export const ROOT: GuestUser = { exec: '0:0', uid: 0, gid: 0 }
export const DEV: GuestUser = { exec: '1000:1000', uid: 1000, gid: 1000 }
export const PATH = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

export interface World {
  readonly engine: Engine
  readonly pool: GuestPool
  readonly log: string[]
  readonly stateFolder: string
  guest(container: { readonly id: string }, user?: GuestUser): Promise<Guest>
  inspect(container: { readonly id: string }): Promise<Container>
  close(): Promise<void>
}

export interface Abilities {
  readonly holders?: Engine['holders'] | undefined
  readonly copyIn?: Copies['copyIn']
  readonly info?: Engine['info']
  readonly exec?: Engine['exec']
}

export type Kind = 'docker' | 'cli'

export async function openWorld(
  settings: Partial<GuestSettings> = {},
  kind: Kind = 'docker',
  socket = '/var/run/docker.sock',
  /** Take abilities away from the engine. */
  without: (engine: Engine) => Abilities = () => ({}),
): Promise<World> {
  const whole =
    kind === 'docker' ? createDockerEngine({ endpoint: `unix://${socket}` }) : createCliEngine({ binary: 'docker' })
  const { holders, copyIn, ...rest } = { ...whole, copyIn: undefined, ...without(whole) }
  const copies = whole.copies && copyIn ? { copies: { ...whole.copies, copyIn } } : {}
  const engine: Engine = { ...rest, ...copies, ...(holders && { holders }) }
  const stateFolder = settings.stateFolder ?? (await mkdtemp(join(tmpdir(), 'hatchway-guest-test-')))
  const log: string[] = []
  const say = (fields: object, message: string) => void log.push(`${message} ${JSON.stringify(fields)}`)
  const pool = createGuestPool(
    engine,
    { mode: 'require', direct: false, ...settings, stateFolder },
    { info: say, warn: say },
  )
  const inspect = (container: { readonly id: string }) => engine.inspect(container.id, LIMIT())
  return {
    engine,
    pool,
    log,
    stateFolder,
    inspect,
    async guest(container, user = ROOT) {
      const guest = await pool.acquire(await inspect(container), user, LIMIT())
      if (guest === undefined) throw new Error(`no guest: ${log.join('\n')}`)
      return guest
    },
    async close() {
      await pool.close()
      await engine.close()
      if (settings.stateFolder === undefined) await rm(stateFolder, { recursive: true, force: true })
    },
  }
}

export interface Own {
  readonly world: typeof openWorld
  readonly container: typeof startContainer
}

/** A test that may run beside others: what it opens by `own` ends with it. */
export const itself = test.extend<{ own: Own }>({
  own: async ({ task: _ }, use) => {
    const worlds: World[] = []
    const containers: TestContainer[] = []
    await use({
      async world(...how) {
        const made = await openWorld(...how)
        worlds.push(made)
        return made
      },
      async container(...how) {
        const made = await startContainer(...how)
        containers.push(made)
        return made
      },
    })
    for (const world of worlds) await world.close()
    await Promise.all(containers.map((container) => container.remove()))
  },
})

export function spec(argv: readonly [string, ...(string | Buffer)[]], more: Partial<GuestSpawn> = {}): GuestSpawn {
  return { program: argv[0], argv, env: [PATH], cwd: '/', cwdWarning: '', killTree: false, ...more }
}

export interface Ran {
  readonly status: ExitStatus
  readonly out: string
  readonly err: string
}

/** Run to the end with `input` on stdin. */
export async function run(guest: Guest, what: GuestSpawn, input: string | Buffer = ''): Promise<Ran> {
  const sink = new Sink()
  const exec = await guest.spawn(what, sink, LIMIT())
  exec.stdin.end(input)
  return { status: await exec.exit, out: sink.text, err: sink.errorText }
}

export async function sh(
  guest: Guest,
  script: string,
  more: Partial<GuestSpawn> = {},
  input: string | Buffer = '',
): Promise<Ran> {
  return run(guest, spec(['sh', '-c', script], more), input)
}

export async function started(
  guest: Guest,
  script: string,
  more: Partial<GuestSpawn> = {},
): Promise<{ exec: GuestExec; sink: Sink }> {
  const sink = new Sink()
  return { exec: await guest.spawn(spec(['sh', '-c', script], more), sink, LIMIT()), sink }
}

export const TTY = { cols: 80, rows: 24, width: 0, height: 0, modes: Buffer.from([0]) }
