/** The operator's page: what it may ask, and its place. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Logger } from 'pino'
import { PACKAGE_ROOT } from '../base/package-root.ts'
import { onceFree } from '../lifetime/once-free.ts'
import type { LocalPlace } from '../net/local-place.ts'
import type { AdminEvent } from '../session/admin-event.ts'
import type { ConnectionRegistry } from '../session/connection-registry.ts'
import type { SessionRegistry } from '../session/registry.ts'
import { type AdminAsset, type AdminCall, type AdminServer, openAdminServer, refused } from './server.ts'
import { createAdminTokens, type Held } from './tokens.ts'

export interface AdminToken {
  readonly secret: string
  readonly endsAt: number
  /** "127.0.0.1:9465"; undefined: the gateway before has it still. */
  readonly place?: string
}

export interface Admin {
  issue(name: string): AdminToken
  /** Another gateway has the place from now on. Idempotent. */
  leave(): Promise<void>
}

export interface Administered {
  readonly registry: Pick<SessionRegistry, 'list'>
  readonly connections: Pick<ConnectionRegistry, 'list'>
  readonly kill: (what: 'session' | 'connection', id: string, by: string) => boolean
  readonly emit: (event: AdminEvent) => void
}

const FILES = {
  '/': ['index.html', 'text/html'],
  '/page.css': ['page.css', 'text/css'],
  '/page.mjs': ['page.mjs', 'text/javascript'],
}
/** Wrong tokens in a minute, of all who try; then nobody signs in until it is over. */
const MAX_WRONG = 10
const WRONG_MS = 60_000

/** @throws HatchwayError CONFIG_INVALID */
export async function openAdmin(
  { listen, signedIn }: { readonly listen: LocalPlace; readonly signedIn: number },
  gateway: Administered,
  takesOver: boolean,
  log: Logger,
): Promise<Admin> {
  const tokens = createAdminTokens(signedIn)
  const calls = adminCalls(tokens, gateway)
  const assets = await readAssets()
  const left = new AbortController()
  const failed = (error: unknown) => log.error({ err: error }, 'the admin page could not be served')
  const open = async () => {
    const server = await openAdminServer(listen, assets, calls, failed)
    log.info({ listen: server.place }, 'serving the admin page')
    return server
  }
  let server: AdminServer | undefined
  const opening = takesOver ? onceFree(open, left.signal) : open()
  const opened = opening.then((one) => {
    server = one
  })
  if (takesOver)
    opened.catch((error: unknown) => {
      if (!left.signal.aborted) failed(error)
    })
  else await opened
  return {
    issue(name) {
      const { secret, endsAt } = tokens.issue(name)
      gateway.emit({ type: 'admin', act: 'token', by: name })
      return { secret, endsAt, ...(server && { place: server.place }) }
    },
    async leave() {
      left.abort()
      await opened.catch(() => {})
      await server?.close()
    },
  }
}

type Tokens = ReturnType<typeof createAdminTokens>

export function adminCalls(tokens: Tokens, { registry, connections, kill, emit }: Administered) {
  const wrong = { since: 0, count: 0 }
  const signedIn =
    (call: (who: Held, body: Readonly<Record<string, unknown>>) => object): AdminCall =>
    (key, body) => {
      const who = tokens.holder(key)
      return who ? { status: 200, body: call(who, body) } : refused(401, 'sign in: hatchway admin token')
    }
  return new Map<string, AdminCall>([
    [
      '/api/sign-in',
      (_, { token }) => {
        if (Date.now() - wrong.since > WRONG_MS) Object.assign(wrong, { since: Date.now(), count: 0 })
        if (wrong.count >= MAX_WRONG) return refused(429, 'too many wrong tokens: wait a minute')
        const key = typeof token === 'string' ? tokens.exchange(token) : undefined
        if (!key) {
          wrong.count += 1
          emit({ type: 'admin', act: 'sign-in', refused: true })
          return refused(401, 'this token is none, was used, or is too old: hatchway admin token makes another')
        }
        emit({ type: 'admin', act: 'sign-in', by: key.name })
        return { status: 200, body: { key: key.secret, name: key.name, endsAt: key.endsAt } }
      },
    ],
    [
      '/api/sign-out',
      (key) => {
        const who = tokens.holder(key)
        tokens.forget(key)
        if (who) emit({ type: 'admin', act: 'sign-out', by: who.name })
        return { status: 200, body: {} }
      },
    ],
    ['/api/live', signedIn(() => ({ sessions: registry.list(), connections: connections.list() }))],
    [
      '/api/kill',
      signedIn(({ name }, { what, id }) => ({
        killed: (what === 'session' || what === 'connection') && typeof id === 'string' && kill(what, id, name),
      })),
    ],
  ])
}

async function readAssets(): Promise<ReadonlyMap<string, AdminAsset>> {
  const read = Object.entries(FILES).map(async ([path, [name = '', type = '']]) => {
    const body = await readFile(join(PACKAGE_ROOT, 'dist/page', name))
    return [path, { type: `${type}; charset=utf-8`, body }] as const
  })
  return new Map(await Promise.all(read))
}
