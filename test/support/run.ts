/** Programs that a test runs to their end. */
import { execa } from 'execa'

export interface Finished {
  /** 255 also where a signal ended the program; `signal` says so. */
  readonly code: number
  readonly signal: string | undefined
  readonly timedOut: boolean
  readonly stdout: Buffer
  readonly stderr: Buffer
}

export interface RunOptions {
  readonly input?: string | Buffer
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
  /** Milliseconds, 20 s: a test's real client must never hang the suite. */
  readonly limit?: number
  /** At the limit it is asked to end, by SIGTERM, and has half a minute to clean up. */
  readonly cleansUp?: boolean
}

/** Run a program to its end with a limit; whatever happens is a value. */
export async function run(file: string, args: readonly string[], options: RunOptions = {}): Promise<Finished> {
  const result = await execa(file, [...args], {
    encoding: 'buffer',
    reject: false,
    stripFinalNewline: false,
    maxBuffer: 512 * 1024 * 1024,
    input: options.input ?? '',
    timeout: options.limit ?? 20_000,
    killSignal: options.cleansUp ? 'SIGTERM' : 'SIGKILL',
    forceKillAfterDelay: 30_000,
    ...(options.env ? { env: options.env } : {}),
    ...(options.cwd ? { cwd: options.cwd } : {}),
  })
  if (result.exitCode === undefined && result.signal === undefined) {
    throw new Error(`cannot run ${file}: ${result.shortMessage ?? 'unknown'}`)
  }
  return {
    code: result.exitCode ?? 255,
    signal: result.signal,
    timedOut: result.timedOut,
    stdout: Buffer.from(result.stdout ?? []),
    stderr: Buffer.from(result.stderr ?? []),
  }
}
