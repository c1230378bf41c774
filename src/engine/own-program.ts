/** A program of our own inside a container, whose output nobody reads. */
import { onAbort } from '../lifetime/on-abort.ts'
import type { Exec, OutputSink } from './engine.ts'

export const UNHEARD: OutputSink = { write: () => true }

/** Resolves when the program has ended; the signal closes it. `input` is all that it reads. */
export async function runToEnd(exec: Exec, signal: AbortSignal, input?: string): Promise<void> {
  onAbort(signal, () => exec.close())
  exec.stdin.end(input)
  await exec.exit
}
