/** What a gateway tells the one before it, and the first one: JSON lines on a socket that it has inherited. */
import type { Readable } from 'node:stream'

export type Word =
  | { readonly pid: number; readonly state: 'started' | 'stopped' }
  | { readonly pid: number; readonly state: 'ready'; readonly version: string }
  | { readonly pid: number; readonly state: 'failed'; readonly message: string }

const MAX_LINE_CHARACTERS = 64 * 1024

export function wordLine(word: Word): string {
  return `${JSON.stringify(word).slice(0, MAX_LINE_CHARACTERS)}\n`
}

/** Calls `heard` for each; `ended` once nobody has the other end open any more. */
export function hearWords(line: Readable, heard: (word: Word) => void, ended: () => void): void {
  let text = ''
  line.setEncoding('utf8')
  line.on('data', (part: string) => {
    const lines = (text + part).split('\n')
    text = (lines.pop() ?? '').slice(-MAX_LINE_CHARACTERS)
    for (const one of lines) {
      const word = parseWord(one)
      if (word) heard(word)
    }
  })
  line.on('error', () => {})
  line.once('close', ended)
}

/** The other end may be of another version: what is not understood is no word. */
function parseWord(text: string): Word | undefined {
  try {
    const word: unknown = JSON.parse(text)
    if (!(word instanceof Object)) return undefined
    const { pid, state, version, message }: Record<string, unknown> = { ...word }
    if (typeof pid !== 'number') return undefined
    if (state === 'started' || state === 'stopped') return { pid, state }
    if (state === 'ready') return { pid, state, version: String(version) }
    return state === 'failed' ? { pid, state, message: String(message) } : undefined
  } catch {
    return undefined
  }
}
