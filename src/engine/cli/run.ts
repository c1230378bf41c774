/** Short calls of the CLI: one child each, bounded in time and output, its errors as HatchwayErrors. */
import { part } from '../../base/parts.ts'
import { type About, engineError, engineTimeout, unreachable } from '../messages.ts'

const loadExeca = part(() => import('execa'))

export interface CliResult {
  readonly code: number
  readonly stdout: Buffer
  readonly stderr: string
}

export interface RunOptions {
  readonly signal: AbortSignal
  readonly input?: Buffer
  /** Milliseconds. */
  readonly deadline?: number
  /** Bytes of stdout taken; then the child is ended. */
  readonly limit?: number
}

export interface Cli {
  readonly binary: string
  /** The whole of a command line: which engine it is about stands before the command. */
  argv(command: readonly string[]): string[]
  /** Any exit code is a result; only "cannot run it" and "no answer in time" throw. */
  run(args: readonly string[], options: RunOptions): Promise<CliResult>
  /** Stdout of a call that must exit 0. */
  must(args: readonly string[], options: RunOptions, about: About): Promise<Buffer>
}

const DEADLINE_MS = 20_000
const MAX_OUTPUT_BYTES = 64 * 1024 * 1024

export function createCli(binary: string, engine: readonly string[] = []): Cli {
  const argv = (command: readonly string[]) => [...engine, ...command]

  async function run(args: readonly string[], options: RunOptions): Promise<CliResult> {
    options.signal.throwIfAborted()
    const deadline = options.deadline ?? DEADLINE_MS
    const { execa } = await loadExeca()
    const result = await execa(binary, argv(args), {
      reject: false,
      encoding: 'buffer',
      stripFinalNewline: false,
      input: options.input ?? Buffer.alloc(0),
      timeout: deadline,
      // A CLI in a hang (an engine that never answers) may ignore SIGTERM.
      forceKillAfterDelay: 500,
      cancelSignal: options.signal,
      maxBuffer: { stdout: options.limit ?? MAX_OUTPUT_BYTES, stderr: 64 * 1024 },
    })
    options.signal.throwIfAborted()
    const what = `${binary} ${args[0]}`
    if (result.timedOut) throw engineTimeout(what, deadline)
    const stdout = Buffer.from(result.stdout)
    const stderr = Buffer.from(result.stderr).toString('utf8').trim()
    if (result.isMaxBuffer) return { code: 0, stdout, stderr }
    if (result.exitCode === undefined) {
      const missing = result.code === 'ENOENT' || result.code === 'EACCES'
      throw unreachable(missing ? `${binary} cannot be run` : `${binary} was killed`, new Error(result.shortMessage))
    }
    return { code: result.exitCode, stdout, stderr }
  }

  return {
    binary,
    argv,
    run,
    async must(args, options, about) {
      const { code, stdout, stderr } = await run(args, options)
      if (code !== 0) throw engineError(cliMessage(stderr), about)
      return stdout
    },
  }
}

/** The engine's own words in a CLI's error message. */
export function cliMessage(stderr: string): string {
  return (
    stderr
      .replace(/^(Error response from daemon: |Error: |time="[^"]*" level=\w+ msg=)/, '')
      // Of DOCKER_HOST=ssh://...: what ssh said stands at the end of a long sentence about the command.
      .replace(/^(error during connect: ).*\bstderr=/s, '$1')
  )
}
