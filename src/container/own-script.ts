/**
 * A few lines of our own for the container's shell. What they say is the container's claim: bytes, and no more than asked
 * for.
 */

import { isFailure } from '../base/errors.ts'
import type { Engine } from '../engine/engine.ts'
import { execIn } from '../engine/exec-in.ts'
import { engineLimit } from '../engine/messages.ts'
import { OWN_ENVIRONMENT, OWN_SHELL } from '../engine/own-path.ts'
import { withDeadline } from '../lifetime/deadline.ts'
import { onAbort, unlessAborted } from '../lifetime/on-abort.ts'

/** Less than a question about a container may take (containers.ts): the caller is told what hangs. */
const LIMIT_MS = 12_000

export interface OwnScript {
  readonly script: string
  readonly args: readonly string[]
  /** As ExecSpec.user. */
  readonly user: string
  /** A script that has said more than that is not listened to any longer, and has no code. */
  readonly maxBytes: number
}

export interface Said {
  /** 126 and 127 also where there is no shell. Undefined: it was not run, or not to its end. */
  readonly code: number | undefined
  readonly out: Buffer
}

/**
 * @throws HatchwayError ENGINE_TIMEOUT, ENGINE_LOST, CONTAINER_NOT_FOUND, ...; ENGINE_TIMEOUT also where the shell hangs
 */
export async function runOwnScript(
  engine: Engine,
  containerId: string,
  script: OwnScript,
  signal: AbortSignal,
  limitMs = LIMIT_MS,
): Promise<Said> {
  try {
    return await run(engine, containerId, script, signal, limitMs)
  } catch (error) {
    if (isFailure(error, ...NOT_RUN)) return { code: undefined, out: Buffer.alloc(0) }
    throw error
  }
}

/** An exec is forbidden, the container is paused, its passwd is none: the engine's copy call may work. */
const NOT_RUN = ['ENGINE_ERROR', 'CONTAINER_NOT_RUNNING', 'USER_NOT_FOUND'] as const

function run(
  engine: Engine,
  containerId: string,
  { script, args, user, maxBytes }: OwnScript,
  signal: AbortSignal,
  limitMs: number,
): Promise<Said> {
  return withDeadline(engineLimit('asking the shell of the container', limitMs), [signal], async (limit) => {
    limit.throwIfAborted()
    const chunks: Buffer[] = []
    let size = 0
    const enough = new AbortController()
    const exec = await execIn(
      engine,
      containerId,
      { argv: [OWN_SHELL, '-c', script, 'sh', ...args], user, cwd: '/', env: OWN_ENVIRONMENT },
      {
        write(fd, chunk) {
          if (fd !== 1 || size > maxBytes) return true
          chunks.push(Buffer.from(chunk.subarray(0, maxBytes + 1 - size)))
          size += chunk.length
          if (size > maxBytes) enough.abort()
          return true
        },
      },
      limit,
    )
    const remove = onAbort(enough.signal, () => exec.close())
    try {
      exec.stdin.end()
      const status = await unlessAborted(exec.exit, limit)
      return { code: 'code' in status ? status.code : undefined, out: Buffer.concat(chunks) }
    } finally {
      remove()
      exec.close()
    }
  })
}
