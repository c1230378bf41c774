/** The real OpenSSH clients, with a configuration and keys of their own in a temporary directory. */
import { cp, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { sharedClientKeys } from '../run/shared.ts'
import { writeClientKeys } from './client-keys.ts'
import { openTerminal, type Terminal, type TerminalOptions } from './pty.ts'
import { type Finished, type RunOptions, run } from './run.ts'

/** Where a client goes: a server's address, the login name as the client gives it, a private key file. */
export interface Target {
  readonly host: string
  readonly port: number
  readonly user: string
  readonly key: string
}

export interface Keys {
  readonly dir: string
  readonly ed25519: string
  readonly rsa: string
  readonly ecdsa: string
  /** A file with all three public keys. */
  readonly authorized: string
  close(): Promise<void>
}

/** Sets of the run's that this process holds. */
const held = new Set<number>()

/** Key pairs that nobody else in this process has; the files are the caller's own. */
export async function makeKeys(): Promise<Keys> {
  const dir = await mkdtemp(join(tmpdir(), 'hw-test-keys-'))
  let index = 0
  while (held.has(index)) index++
  held.add(index)
  const shared = sharedClientKeys(index)
  if (shared === undefined) await writeClientKeys(dir)
  else await cp(shared, dir, { recursive: true })
  return {
    dir,
    ed25519: join(dir, 'ed25519'),
    rsa: join(dir, 'rsa'),
    ecdsa: join(dir, 'ecdsa'),
    authorized: join(dir, 'authorized_keys'),
    close: async () => {
      await rm(dir, { recursive: true, force: true })
      held.delete(index)
    },
  }
}

export interface SshClient {
  /** The ssh_config file; the server is host "t" in it. */
  readonly config: string
  readonly dir: string
  readonly target: Target
  /** `ssh t ARGS...`: a command, or nothing for a shell; options for ssh itself come first, then "t". */
  ssh(args: readonly string[], options?: RunOptions): Promise<Finished>
  /** `ssh t COMMAND`, the common case. */
  exec(command: string, options?: RunOptions): Promise<Finished>
  scp(args: readonly string[], options?: RunOptions): Promise<Finished>
  /** sftp in batch mode. */
  sftp(commands: string, options?: RunOptions): Promise<Finished>
  /** ssh on a terminal of ours: `terminal(['-t', 't', 'stty size'])`. */
  terminal(args: readonly string[], options?: TerminalOptions): Terminal
  close(): Promise<void>
}

/** `extra`: more ssh_config lines. */
export async function makeSshClient(target: Target, extra: readonly string[] = []): Promise<SshClient> {
  const dir = await mkdtemp(join(tmpdir(), 'hw-test-ssh-'))
  const config = join(dir, 'config')
  await writeFile(
    config,
    [
      'Host t',
      // First: ssh takes the first value it finds.
      ...extra.map((line) => `  ${line}`),
      `  HostName ${target.host}`,
      `  Port ${target.port}`,
      `  User "${target.user}"`,
      `  IdentityFile ${target.key}`,
      '  IdentitiesOnly yes',
      '  BatchMode yes',
      '  StrictHostKeyChecking accept-new',
      `  UserKnownHostsFile ${join(dir, 'known_hosts')}`,
      '  LogLevel ERROR',
      '  ConnectTimeout 10',
      '  ControlPath none',
      '',
    ].join('\n'),
  )
  // The machine's own agent and locale must not decide what a test sees.
  const clean = { SSH_AUTH_SOCK: '', LC_ALL: 'C.UTF-8' }
  const client = (program: string, args: readonly string[], options: RunOptions = {}) =>
    run(program, ['-F', config, ...args], { ...options, env: { ...clean, ...options.env } })
  return {
    config,
    dir,
    target,
    ssh: (args, options) => client('ssh', args, options),
    exec: (command, options) => client('ssh', ['t', command], options),
    scp: (args, options) => client('scp', args, options),
    sftp: (commands, options) => client('sftp', ['-q', '-b', '-', 't'], { ...options, input: commands }),
    terminal: (args, options = {}) =>
      openTerminal('ssh', ['-F', config, ...args], { ...options, env: { ...clean, ...options.env } }),
    close: () => rm(dir, { recursive: true, force: true }),
  }
}
