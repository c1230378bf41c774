/** `CLI events`: what happens to containers, one JSON object a line, from a child that is started again when it ends. */
import { type ChildProcess, spawn } from 'node:child_process'
import { setTimeout as delay } from 'node:timers/promises'
import { onAbort } from '../../lifetime/on-abort.ts'
import type { EngineEvent } from '../engine.ts'
import { createGoingCheck } from '../going.ts'
import { type ParsedEvent, parseEvent, parseEvents } from '../json.ts'
import { readLines } from '../lines.ts'
import { unreachable } from '../messages.ts'
import type { CliFlavour } from './flavour.ts'
import type { Cli } from './run.ts'

const FIRST_PAUSE_MS = 200
const LONGEST_PAUSE_MS = 5000
const VERSION_MS = 5000
/** A child that lives this long has reached its engine: nothing else in its output tells. */
const SETTLED_MS = 1000

export async function* cliEvents(cli: Cli, flavour: CliFlavour, signal: AbortSignal): AsyncGenerator<EngineEvent> {
  let state: 'up' | 'broken' | 'away' = 'up'
  const isGoing = createGoingCheck(() =>
    cli.run(flavour.version, { signal, deadline: VERSION_MS }).then(
      ({ code }) => code === 0,
      () => true,
    ),
  )
  for (let pause = FIRST_PAUSE_MS; !signal.aborted; pause = Math.min(pause * 2, LONGEST_PAUSE_MS)) {
    const child = spawn(cli.binary, cli.argv(flavour.events), { stdio: ['ignore', 'pipe', 'ignore'] })
    const stop = () => child.kill('SIGKILL')
    child.on('error', () => {})
    const remove = onAbort(signal, stop)
    const started = Date.now()
    try {
      if (state !== 'up' && (await lives(child))) {
        yield { type: 'reconnected' }
        state = 'up'
      }
      for await (const line of readLines(child.stdout)) {
        const event = parseEvent(line)
        if (event === undefined) continue
        yield { type: 'container', action: event.action, id: event.id }
        if (state !== 'away' && (await isGoing(event))) {
          state = 'away'
          yield { type: 'lost', error: unreachable(undefined, new Error('it stops its containers')) }
        }
      }
    } catch {
      // Whatever broke it, the cure is the same: wait, and start it again.
    } finally {
      remove()
      stop()
    }
    if (signal.aborted) return
    if (Date.now() - started > SETTLED_MS) pause = FIRST_PAUSE_MS
    else if (state !== 'away') {
      state = 'away'
      yield {
        type: 'lost',
        error: unreachable(undefined, new Error(`${cli.binary} ${flavour.events.join(' ')} ended`)),
      }
    }
    if (state === 'up') state = 'broken'
    await delay(pause, undefined, { signal }).catch(() => {})
  }
}

async function lives(child: ChildProcess): Promise<boolean> {
  const ended = new AbortController()
  child.once('exit', () => ended.abort())
  child.once('error', () => ended.abort())
  await delay(SETTLED_MS, undefined, { signal: ended.signal }).catch(() => {})
  return !ended.signal.aborted
}

export async function recentCliEvents(
  cli: Cli,
  flavour: CliFlavour,
  containerId: string,
  since: number,
  signal: AbortSignal,
): Promise<ParsedEvent[]> {
  const now = Date.now() / 1000
  const args = [...flavour.events, '--filter', `container=${containerId}`]
  const span = ['--since', Math.max(since / 1000 - 1, now - 60).toFixed(3), ...flavour.eventsUntil(now.toFixed(3))]
  const result = await cli.run([...args, ...span], { signal, deadline: 3000 }).catch(() => undefined)
  return parseEvents(result?.stdout.toString('utf8') ?? '', containerId)
}
