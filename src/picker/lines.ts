/** The picker for a screen reader, a braille line, a teletype: numbered lines, and an answer that is typed. */
import type { Writable } from 'node:stream'
import { plural } from '../base/plural.ts'
import { printable } from '../base/printable.ts'
import { deferred } from '../lifetime/deferred.ts'
import { unlessAborted } from '../lifetime/on-abort.ts'
import { matching, type PickerEntry } from './entry.ts'
import type { PromptTerminal } from './terminal.ts'

export async function numberedLines(
  message: string,
  entries: readonly PickerEntry[],
  { input, output }: PromptTerminal,
  signal: AbortSignal,
): Promise<PickerEntry> {
  let shown = entries
  const show = () => {
    for (const [at, entry] of shown.entries()) output.write(`${at + 1}: ${spoken(entry)}\n`)
  }
  output.write(`${message}\n`)
  show()
  for (;;) {
    output.write('number or name: ')
    const answer = (await readLine(input, output, signal)).trim()
    const entry = answered(shown, entries, answer)
    if (entry?.closed !== undefined) {
      output.write(`${entry.closed}\n`)
      continue
    }
    if (entry) return entry
    const narrowed = matching(entries, answer)
    if (narrowed.length > 0 && answer !== '') {
      shown = narrowed
      output.write(`${plural(narrowed.length, 'matches', 'match')} ${printable(answer)}\n`)
    } else {
      shown = entries
      if (answer !== '') output.write(`nothing matches ${printable(answer)}\n`)
    }
    show()
  }
}

function answered(shown: readonly PickerEntry[], all: readonly PickerEntry[], answer: string): PickerEntry | undefined {
  const named = all.find((entry) => entry.ref === answer)
  if (named) return named
  if (/^\d{1,5}$/.test(answer)) return shown[Number(answer) - 1]
  const found = answer === '' ? [] : matching(all, answer)
  return found.length === 1 ? found[0] : undefined
}

function spoken({ name, compose, status, image }: PickerEntry): string {
  return [name, compose, status, image].filter(Boolean).join(', ')
}

/** The client's terminal is raw: the gateway echoes. Only what a teletype can do: characters, and one backspace. */
async function readLine(input: PromptTerminal['input'], output: Writable, signal: AbortSignal): Promise<string> {
  const { promise, resolve } = deferred<string>()
  let line = ''
  const onData = (chunk: Buffer) => {
    for (const char of chunk.toString('latin1')) {
      if (char === '\r' || char === '\n') {
        output.write('\n')
        input.off('data', onData)
        return resolve(Buffer.from(line, 'latin1').toString())
      }
      if (char === '\x7f' || char === '\b') {
        if (line !== '') output.write('\b \b')
        line = line.slice(0, -1)
      } else if (char >= ' ' && line.length < MAX_LINE_BYTES) {
        line += char
        output.write(Buffer.from(char, 'latin1'))
      }
    }
  }
  input.on('data', onData)
  try {
    return await unlessAborted(promise, signal)
  } finally {
    input.off('data', onData)
  }
}

const MAX_LINE_BYTES = 256
