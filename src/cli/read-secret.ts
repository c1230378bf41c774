/** Reads a secret from the terminal without echo, or the first line of a pipe. */
import { createInterface } from 'node:readline/promises'
import { Writable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { CliFailure } from '../control/cli-failure.ts'

export async function readSecret(question: string): Promise<string> {
  if (!process.stdin.isTTY) return /^[^\r\n]*/.exec(await text(process.stdin))?.[0] ?? ''
  const unseen = new Writable({ write: (_chunk, _encoding, done) => done() })
  // On a terminal, readline turns the echo off and shows the typed text itself.
  const line = createInterface({ input: process.stdin, output: unseen, terminal: true, historySize: 0 })
  const interrupted = new AbortController()
  line.once('SIGINT', () => interrupted.abort())
  line.once('close', () => interrupted.abort())
  // Not before the echo is off: text that is pasted, or typed at once, would show.
  process.stderr.write(question)
  try {
    return await line.question('', { signal: interrupted.signal })
  } catch (error) {
    throw new CliFailure('nothing was entered', 130, { cause: error })
  } finally {
    line.close()
    process.stderr.write('\n')
  }
}
