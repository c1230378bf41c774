/** A server on a free port, keys for it, and the real OpenSSH client. The layer loads ssh2 before anything else does. */

import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type Ssh2 from 'ssh2'
import type { ExitStatus } from '../../src/base/program.ts'
import type { Approach } from '../../src/ssh/arrival.ts'
import type { Authenticator } from '../../src/ssh/auth.ts'
import type { ConnectionHandlers, SshConnection } from '../../src/ssh/connection.ts'
import type { SshLimits } from '../../src/ssh/limits.ts'
import { createSshServer, type SshServer } from '../../src/ssh/server.ts'
import type { SshServerEvent } from '../../src/ssh/server-events.ts'
import type { SessionEvents, SshSession } from '../../src/ssh/session.ts'

/** Stock ssh2's client, loaded after the layer. */
export const ssh2: typeof Ssh2 = createRequire(import.meta.url)('ssh2')

export const LIMITS: SshLimits = {
  maxAuthTries: 6,
  loginGraceTime: 120_000,
  maxStartups: { start: 10, rate: 30, full: 100 },
  perSourceMaxStartups: 0,
  perSourceNetBlockSize: { ipv4: 32, ipv6: 128 },
  perSourcePenalties: {
    enabled: false,
    penalties: { crash: 90_000, authfail: 5000, noauth: 1000, 'grace-exceeded': 10_000, refuseconnection: 10_000 },
    max: 600_000,
    min: 15_000,
    maxSources4: 65_536,
    maxSources6: 65_536,
    overflow4: 'permissive',
    overflow6: 'permissive',
  },
  perSourcePenaltyExemptList: [],
  refuseConnection: [],
  channelTimeout: [],
  unusedConnectionTimeout: 0,
  maxSessions: 10,
  clientAliveInterval: 0,
  clientAliveCountMax: 3,
  rekeyLimit: { bytes: 0, milliseconds: 0 },
}

export const CIPHERS = ['aes128-gcm@openssh.com', 'aes256-gcm@openssh.com', 'aes128-ctr', 'aes192-ctr', 'aes256-ctr']

/** Keys and an OpenSSH configuration in a folder of their own. */
export interface Folder {
  readonly path: string
  key(name: string, ...options: readonly string[]): string
  remove(): void
}

export function createFolder(): Folder {
  const path = mkdtempSync(join(tmpdir(), 'hw-test-ssh-'))
  return {
    path,
    key(name, ...options) {
      const file = join(path, name)
      execFileSync('ssh-keygen', [
        '-q',
        '-N',
        '',
        '-C',
        name,
        '-f',
        file,
        ...(options.length ? options : ['-t', 'ed25519']),
      ])
      return file
    },
    remove: () => rmSync(path, { recursive: true, force: true }),
  }
}

export interface TestServer {
  readonly port: number
  readonly folder: Folder
  readonly server: SshServer<string>
  readonly events: SshServerEvent[]
  readonly connections: SshConnection<string>[]
  /** Options of `ssh` that reach it as `user`. */
  readonly options: readonly string[]
  readonly privateKey: Buffer
  readonly privateKeyFile: string
  close(): Promise<void>
}

export interface TestServerOptions {
  readonly limits?: Partial<SshLimits>
  /** Instead: they may change. */
  readonly allLimits?: () => SshLimits
  readonly approach?: Approach
  readonly ciphers?: readonly string[]
  /** Files. */
  readonly hostKeys?: readonly string[]
  readonly hostCertificates?: readonly string[]
  readonly session?: (session: SshSession, connection: SshConnection<string>) => void | Promise<void>
  readonly handlers?: (connection: SshConnection<string>) => Partial<ConnectionHandlers>
  readonly publicKey?: (algorithm: string, blob: Buffer) => Promise<string | undefined>
  /** Of the authenticator, what is not publicKey. */
  readonly authenticator?: Partial<Authenticator<string>>
  readonly banner?: string
  readonly maxBytesPerIdentity?: number
}

export async function startServer(options: TestServerOptions = {}): Promise<TestServer> {
  const folder = createFolder()
  try {
    return await startIn(folder, options)
  } catch (error) {
    folder.remove()
    throw error
  }
}

const keyFile = (file: string) => ({ file, bytes: readFileSync(file) })

async function startIn(folder: Folder, options: TestServerOptions): Promise<TestServer> {
  const hostKeys = (options.hostKeys ?? [folder.key('host_ed25519')]).map(keyFile)
  const user = folder.key('user')
  const userBlob = publicBlob(user)
  const events: SshServerEvent[] = []
  const connections: SshConnection<string>[] = []
  const server = createSshServer<string>({
    hostKeys,
    limits: options.allLimits ?? (() => ({ ...LIMITS, ...options.limits })),
    ...(options.approach && { approach: options.approach }),
    ciphers: options.ciphers ?? CIPHERS,
    authenticator: {
      publicKey: ({ algorithm, blob }) =>
        options.publicKey?.(algorithm, blob) ?? Promise.resolve(blob.equals(userBlob) ? 'tester' : undefined),
      ...options.authenticator,
    },
    connection: (connection) => {
      connections.push(connection)
      return {
        allow: () => true,
        session: (session) => {
          const done = (options.session ?? echoSession)(session, connection)
          done?.catch((error: unknown) =>
            events.push({ type: 'fault', connectionId: connection.id, remote: connection.remote, error }),
          )
        },
        ...options.handlers?.(connection),
      }
    },
    observe: (event) => events.push(event),
    ...(options.hostCertificates && { hostCertificates: options.hostCertificates.map(keyFile) }),
    ...(options.banner !== undefined && { banner: options.banner }),
    ...(options.maxBytesPerIdentity !== undefined && { maxBytesPerIdentity: options.maxBytesPerIdentity }),
  })
  const { port } = await server.listen('127.0.0.1', 0)
  const config = join(folder.path, 'config')
  writeFileSync(config, '')
  return {
    port,
    folder,
    server,
    events,
    connections,
    privateKey: readFileSync(user),
    privateKeyFile: user,
    options: [
      ...['-F', config, '-p', String(port), '-i', user, '-l', 'dev@web', '-o', 'BatchMode=yes'],
      ...['-o', 'StrictHostKeyChecking=no', '-o', `UserKnownHostsFile=${join(folder.path, 'known_hosts')}`],
      ...['-o', 'LogLevel=ERROR', '-o', 'IdentitiesOnly=yes', '-o', 'IdentityAgent=none'],
    ],
    async close() {
      await server.close()
      server.disconnectAll('test is over')
      folder.remove()
    },
  }
}

export function publicBlob(file: string): Buffer {
  return Buffer.from(readFileSync(`${file}.pub`, 'utf8').split(' ')[1] ?? '', 'base64')
}

/** Gives back what it gets. */
export async function echoSession(session: SshSession): Promise<void> {
  session.accept()
  session.listen({ drain: () => session.stdin.resume() })
  session.stdin.on('data', (chunk: Buffer) => {
    if (!session.write(1, chunk)) session.stdin.pause()
  })
  await new Promise((resolve) => session.stdin.on('end', resolve).on('close', resolve))
  await session.exit({ code: 0 })
}

/** Accepts, runs `program`, exits with what it returns. `listen` adds to the events that `write` waits for. */
export function program(
  run: (
    session: SshSession,
    write: (fd: 1 | 2, chunk: Buffer | string) => Promise<void>,
    listen: (events: Omit<SessionEvents, 'drain'>) => void,
  ) => Promise<ExitStatus>,
): (session: SshSession) => Promise<void> {
  return async (session) => {
    let drained: (() => void) | undefined
    session.accept()
    const drain = () => drained?.()
    session.listen({ drain })
    const write = async (fd: 1 | 2, chunk: Buffer | string) => {
      if (session.write(fd, typeof chunk === 'string' ? Buffer.from(chunk) : chunk)) return
      await new Promise<void>((resolve) => {
        drained = resolve
      })
    }
    await session.exit(await run(session, write, (events) => session.listen({ ...events, drain })))
  }
}

export interface Finished {
  readonly code: number | null
  readonly signal: string | null
  readonly stdout: Buffer
  readonly stderr: Buffer
}

export interface RunOptions {
  readonly input?: Buffer | string
  readonly env?: Readonly<Record<string, string>>
  /** Milliseconds. */
  readonly limit?: number
}

export function start(
  command: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): ChildProcess {
  return spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'], env: { ...process.env, LC_ALL: 'C', ...env } })
}

export function run(command: string, args: readonly string[], options: RunOptions = {}): Promise<Finished> {
  const child = start(command, args, options.env)
  const [stdout, stderr]: [Buffer[], Buffer[]] = [[], []]
  child.stdout?.on('data', (chunk: Buffer) => stdout.push(chunk))
  child.stderr?.on('data', (chunk: Buffer) => stderr.push(chunk))
  child.stdin?.on('error', () => {})
  child.stdin?.end(options.input ?? '')
  const timer = setTimeout(() => child.kill('SIGKILL'), options.limit ?? 30_000)
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code, signal) => {
      clearTimeout(timer)
      resolve({ code, signal, stdout: Buffer.concat(stdout), stderr: Buffer.concat(stderr) })
    })
  })
}

/** `ssh ...options 127.0.0.1 ...args`. Options given first win in OpenSSH. */
export function ssh(
  server: TestServer,
  args: readonly string[],
  options: RunOptions & { first?: readonly string[] } = {},
) {
  return run('ssh', [...(options.first ?? []), ...server.options, '127.0.0.1', ...args], options)
}
