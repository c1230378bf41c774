/**
 * Starts the gateway that takes over: the same command line, so the program's files as they are now, with this one's
 * listening sockets. Both take connections until the new one says that it is ready.
 */
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import type { Duplex } from 'node:stream'
import { openDeadline } from '../lifetime/deadline.ts'
import { deferred } from '../lifetime/deferred.ts'
import { onAbort, unlessAborted } from '../lifetime/on-abort.ts'
import { handOverVariable, type Inheritance, type SocketAddress } from './inheritance.ts'
import { hearWords, type Word } from './words.ts'

/** More than a start may take while the engine hangs. */
const START_MS = 60_000

/** The pid is said at once, so that what hangs can be ended. */
const IN_BACKGROUND = `"$@" </dev/null & printf '{"pid":%d,"state":"started"}\\n' $! >&3`

export interface HandedSockets {
  readonly descriptors: readonly number[]
  /** Undefined: the service manager's, all of them. */
  readonly addresses: readonly SocketAddress[] | undefined
}

export interface Successor {
  readonly pid: number
  readonly version: string
  /** An end to all that live, this one's successor and those after it; any other signal to the one that serves now. */
  signal(name: NodeJS.Signals): void
  /** Resolves once they are all gone, with whether the last one was told to stop. */
  readonly gone: Promise<boolean>
}

/** @throws Error with the reason why there is none, and nothing of it is left */
export async function startSuccessor(
  sockets: HandedSockets,
  { rootLine, manager }: Pick<Inheritance, 'rootLine' | 'manager'>,
  stopping: AbortSignal,
  program = [process.execPath, ...process.execArgv, ...process.argv.slice(1)],
): Promise<Successor> {
  const root = manager === undefined
  const passedOn = rootLine === undefined ? [] : [rootLine]
  const handedOver = {
    sockets: sockets.descriptors.length,
    lines: 1 + passedOn.length,
    root,
    ...(sockets.addresses && { addresses: sockets.addresses }),
  }
  // By a shell that ends at once: a service manager hears only of the end of its own children and of orphans.
  const shell = spawn('/bin/sh', ['-c', IN_BACKGROUND, 'sh', ...program], {
    detached: true,
    stdio: ['ignore', 'inherit', 'inherit', 'pipe', ...passedOn, ...sockets.descriptors],
    env: { ...process.env, ...manager?.environment, ...handOverVariable(handedOver) },
  })
  const ready = deferred<{ pid: number; version: string }>()
  const gone = deferred<boolean>()
  let serving: number | undefined
  /** All that run, the one that serves and those before it that go on with their connections. */
  const living = new Set<number>()
  let stopped = false
  let isOver = false
  const heard = (word: Word) => {
    serving ??= word.pid
    if (word.state === 'started' || word.state === 'ready') living.add(word.pid)
    else living.delete(word.pid)
    if (word.state === 'failed') ready.reject(new Error(word.message))
    if (word.state === 'stopped') stopped ||= word.pid === serving
    if (word.state !== 'ready') return
    serving = word.pid
    ready.resolve(word)
  }
  shell.once('error', (error) => ready.reject(error))
  const line = shell.stdio[3] as Duplex | null | undefined
  if (!line) throw new Error('no process could be started')
  hearWords(line, heard, () => {
    isOver = true
    ready.reject(new Error('it ended before it was ready: its own words are on standard error'))
    gone.resolve(stopped)
  })
  const limit = openDeadline({ ms: START_MS, reason: () => new Error(`it was not ready within ${START_MS / 1000} s`) })
  const giveUp = (reason: unknown) => ready.reject(reason)
  const removals = [
    onAbort(limit.signal, () => giveUp(limit.signal.reason)),
    onAbort(stopping, () => giveUp(new Error('this gateway was told to stop'))),
  ]
  try {
    const { pid, version } = await ready.promise
    return {
      ...{ pid, version, gone: gone.promise },
      signal(name) {
        // What ends the gateway ends all of it; a reload or restart is for the one that serves.
        const isEnd = name === 'SIGTERM' || name === 'SIGINT'
        for (const one of living) if (isEnd || one === serving) kill(one, name, program)
      },
    }
  } catch (error) {
    if (shell.pid !== undefined && !isOver) {
      endGroup(shell.pid)
      await unlessAborted(gone.promise, limit.signal).catch(() => {})
    }
    throw error
  } finally {
    for (const remove of removals) remove()
    limit.release()
  }
}

/**
 * The shell and what it has started: that may be at work before its pid was heard, and before it has become the program. While
 * the line is open one of them lives, and the group is theirs.
 */
function endGroup(leader: number): void {
  try {
    process.kill(-leader, 'SIGKILL')
  } catch {
    // It has ended.
  }
}

/** Not another process, which got the pid of a gateway that was killed. */
function kill(pid: number, signal: NodeJS.Signals, program: readonly string[]): void {
  try {
    if (process.platform === 'linux' && readFileSync(`/proc/${pid}/cmdline`, 'utf8') !== `${program.join('\0')}\0`)
      return
    process.kill(pid, signal)
  } catch {
    // It has ended.
  }
}
