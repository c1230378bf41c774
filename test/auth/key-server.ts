/** The SSH layer with our authenticator and no container: what a real client is told, and who it is taken for. */
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import pino from 'pino'
import { z } from 'zod'
import { type KeySettings, openAuthenticator } from '../../src/auth/authenticator.ts'
import type { Identity } from '../../src/auth/identity.ts'
import { createSshServer } from '../../src/ssh/server.ts'
import { CIPHERS, LIMITS, program } from '../ssh/support.ts'

/** Keys, certificates and lists of one test file. */
export class KeyFolder {
  readonly path = mkdtempSync(join(tmpdir(), 'hw-test-keys-'))

  file(name: string, text: string | Buffer = ''): string {
    const path = join(this.path, name)
    if (text !== '') writeFileSync(path, text)
    return path
  }

  chmod(name: string, mode: number): void {
    chmodSync(join(this.path, name), mode)
  }

  async keygen(...args: string[]): Promise<string> {
    const { stdout } = await execa('ssh-keygen', args, { cwd: this.path, stdin: 'ignore' })
    return stdout
  }

  /** @returns the private file; `${file}.pub` has the other half */
  async key(name: string, ...type: string[]): Promise<string> {
    await this.keygen('-q', '-N', '', '-C', name, '-f', name, ...(type.length > 0 ? type : ['-t', 'ed25519']))
    return this.file(name)
  }

  publicLine(name: string): string {
    return readFileSync(join(this.path, `${name}.pub`), 'utf8').trim()
  }

  /** The blob of `certify`'s, base64. */
  certificate(name: string): string {
    return readFileSync(join(this.path, `${name}-cert.pub`), 'utf8').split(' ')[1] ?? ''
  }

  blob(name: string): Buffer {
    return Buffer.from(this.publicLine(name).split(' ')[1] ?? '', 'base64')
  }

  /** Signs `${key}.pub` by the authority; options are ssh-keygen's. */
  async certify(authority: string, key: string, ...options: string[]): Promise<string> {
    await this.keygen('-q', '-s', authority, '-I', `id of ${key}`, '-n', 'dev', ...options, `${key}.pub`)
    return this.file(`${key}-cert.pub`)
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true })
  }
}

const Told = z.object({ msg: z.string(), reason: z.string().optional() })

export interface KeyServer {
  readonly port: number
  /** Why, as the log has it, since it was last asked. */
  reasons(): string[]
  /** `ssh -i KEY`: who the server took it for; undefined: it was refused. */
  login(key: string, options?: LoginOptions): Promise<Identity | undefined>
  close(): Promise<void>
}

export interface LoginOptions {
  readonly user?: string
  readonly certificate?: string
  readonly args?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
}

const answer = z.custom<Identity>((value) => typeof value === 'object' && value !== null && 'restrictions' in value)

export async function startKeyServer(folder: KeyFolder, settings: Partial<KeySettings>): Promise<KeyServer> {
  let lines: string[] = []
  const log = pino({ level: 'debug' }, { write: (line: string) => void lines.push(line) })
  const authenticator = await openAuthenticator(
    { authorizedKeys: [], keysDirectory: folder.path, authorizedPrincipals: undefined, ...settings } as KeySettings,
    log,
    ({ user }) => ({ address: user, ...(user.includes('@') && { user: user.replace(/@[^@]*$/, '') }) }),
  )
  const identities = new WeakMap<object, Identity>()
  const server = createSshServer<Identity>({
    hostKeys: [{ file: 'host', bytes: readFileSync(await folder.key(`host-${Date.now()}-${Math.random()}`)) }],
    limits: () => LIMITS,
    ciphers: CIPHERS,
    authenticator,
    connection: ({ identity }) => ({
      allow: () => true,
      session: (session) => {
        identities.set(session, identity)
        void program(async (_, write) => {
          await write(1, JSON.stringify(identity))
          return { code: 0 }
        })(session)
      },
    }),
    observe: () => {},
  })
  const { port } = await server.listen('127.0.0.1', 0)
  const config = folder.file('ssh_config', '# none\n')
  return {
    port,
    reasons() {
      const reasons = lines.flatMap((line) => Told.parse(JSON.parse(line)).reason ?? [])
      lines = []
      return reasons
    },
    async login(key, { user = 'dev@web', certificate, args = [], env = {} } = {}) {
      const result = await execa(
        'ssh',
        [
          ...[
            '-F',
            config,
            '-p',
            String(port),
            '-l',
            user,
            '-i',
            key,
            '-o',
            'BatchMode=yes',
            '-o',
            'IdentitiesOnly=yes',
          ],
          ...['-o', 'StrictHostKeyChecking=no', '-o', 'UserKnownHostsFile=/dev/null', '-o', 'LogLevel=ERROR'],
          ...['-o', 'IdentityAgent=none', ...(certificate ? ['-o', `CertificateFile=${certificate}`] : [])],
          ...[...args, '127.0.0.1', 'who'],
        ],
        { reject: false, stdin: 'ignore', timeout: 30_000, env },
      )
      if (result.exitCode === 0) return answer.parse(JSON.parse(result.stdout))
      if (!result.stderr.includes('Permission denied')) throw new Error(`ssh: ${result.stderr}`)
      return undefined
    },
    async close() {
      await server.close()
      server.disconnectAll('test is over')
    },
  }
}
