/**
 * A connection to an engine's API on another host, as `docker -H ssh://` has it: the system's own ssh runs `docker system
 * dial-stdio` there. ssh_config, agent and known_hosts hold as ever; nothing is asked, for nobody is there to answer.
 */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { Duplex } from 'node:stream'
import { oneLine } from '../../base/printable.ts'

export interface SshAddress {
  readonly kind: 'ssh'
  readonly host: string
  readonly user?: string
  readonly port?: number
  /** Of the engine's socket there; absent: where its own CLI finds it. */
  readonly path?: string
  /** The CLI there: docker, podman. */
  readonly cli: string
}

const MAX_STDERR_CHARACTERS = 8192
const KILL_AFTER_MS = 1_000
const CONNECT_S = 10

/** What ssh, or the shell there, said. `words` are fit for whoever logs in; the message is for the log. */
export class SshFailure extends Error {
  readonly words: string

  constructor(words: string, said: string) {
    super(said === '' ? words : said)
    this.name = 'SshFailure'
    this.words = words
  }
}

/** "ssh://ops@build2:22/run/docker.sock"; undefined: that is none. */
export function parseSshAddress(text: string, cli = 'docker'): SshAddress | undefined {
  const found = /^ssh:\/\/(?:([\w.][\w.-]*)@)?(\[[0-9a-fA-F:.%]+\]|[\w.][\w.-]*)(?::(\d{1,5}))?(\/[\w./-]*)?$/.exec(
    text,
  )
  if (!found || !/^[\w./][\w./-]*$/.test(cli)) return undefined
  const [, user, host = '', port, path = '/'] = found
  return {
    kind: 'ssh',
    host: host.replace(/^\[|\]$/g, ''),
    cli,
    ...(user !== undefined && { user }),
    ...(port !== undefined && { port: Number(port) }),
    ...(path !== '/' && { path }),
  }
}

export function sshArguments({ host, user, port, path, cli }: SshAddress): string[] {
  // The words of the command are joined and read by a shell there: none of them has a character that means anything to it.
  const socket = path === undefined ? [] : [cli.endsWith('podman') ? `--url=unix://${path}` : `--host=unix://${path}`]
  return [
    ...['-T', '-o', 'BatchMode=yes', '-o', `ConnectTimeout=${CONNECT_S}`, '-o', 'ClearAllForwardings=yes'],
    ...(user === undefined ? [] : ['-l', user]),
    ...(port === undefined ? [] : ['-p', String(port)]),
    ...['--', host, cli, ...socket, 'system', 'dial-stdio'],
  ]
}

/** As far as node:http and our own stream need a socket. Its end is only told once it is known how ssh ended. */
export class SshStream extends Duplex {
  readonly #child: ChildProcessWithoutNullStreams
  #stderr = ''
  #idle: NodeJS.Timeout | undefined

  constructor(address: SshAddress) {
    super({ allowHalfOpen: true })
    const child = spawn('ssh', sshArguments(address), { stdio: 'pipe' })
    this.#child = child
    child.stdin.on('error', () => {})
    child.stdout
      .on('error', () => {})
      .on('data', (chunk: Buffer) => {
        this.#idle?.refresh()
        if (!this.push(chunk)) child.stdout.pause()
      })
    child.stderr
      .on('error', () => {})
      .setEncoding('utf8')
      .on('data', (text: string) => {
        this.#stderr = (this.#stderr + text).slice(-MAX_STDERR_CHARACTERS)
      })
    child.once('error', (error) => this.destroy(new SshFailure('ssh cannot be run', error.message)))
    child.once('close', (code) => {
      if (code === 0) this.push(null)
      else this.destroy(failure(code, this.#stderr))
    })
  }

  override _read(): void {
    this.#child.stdout.resume()
  }

  override _write(chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    this.#idle?.refresh()
    // How ssh ended is told by its exit.
    this.#child.stdin.write(chunk, () => done())
  }

  override _final(done: () => void): void {
    this.#child.stdin.end(() => done())
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    clearTimeout(this.#idle)
    const child = this.#child
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGTERM')
      const timer = setTimeout(() => child.kill('SIGKILL'), KILL_AFTER_MS).unref()
      child.once('exit', () => clearTimeout(timer))
    }
    child.stdout.resume()
    done(error)
  }

  // What node:http asks of a socket.

  setTimeout(ms: number, listener?: () => void): this {
    clearTimeout(this.#idle)
    this.#idle = ms > 0 ? setTimeout(() => this.emit('timeout'), ms).unref() : undefined
    if (listener) this.once('timeout', listener)
    return this
  }

  setKeepAlive(): this {
    return this
  }

  setNoDelay(): this {
    return this
  }

  ref(): this {
    return this.#hold('ref')
  }

  unref(): this {
    return this.#hold('unref')
  }

  #hold(how: 'ref' | 'unref'): this {
    const { stdin, stdout, stderr } = this.#child
    this.#child[how]()
    for (const pipe of [stdin, stdout, stderr]) if (how in pipe) Reflect.apply(Reflect.get(pipe, how), pipe, [])
    return this
  }
}

const WORDS: readonly (readonly [RegExp, string])[] = [
  [/host key verification failed|REMOTE HOST IDENTIFICATION HAS CHANGED/i, 'ssh does not trust its host key'],
  [/permission denied \(/i, 'ssh is not let in there'],
  [/could not resolve hostname/i, 'unknown host'],
  [/connection refused/i, 'connection refused'],
  [/timed out/i, 'connection timed out'],
  [/no route to host/i, 'no route to host'],
  [/permission denied/i, 'permission denied'],
  [/command not found|no such file|not found$/im, 'there is no such program'],
]

function failure(code: number | null, stderr: string): SshFailure {
  const said = oneLine(stderr.trim().split('\n').slice(-3).join(' '))
  const [, words = code === null ? 'ssh was killed' : `ssh ended with ${code}`] =
    WORDS.find(([pattern]) => pattern.test(stderr)) ?? []
  return new SshFailure(words, said)
}
