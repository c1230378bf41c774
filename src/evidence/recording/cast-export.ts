/** A record for players of others: asciicast v2, as asciinema 2 plays it. */
import type { Cast, CastEvent } from './read-stream.ts'

/** Lines, each with its newline. */
export async function* castV2({ header, events }: Cast): AsyncGenerator<string> {
  const { term, timestamp, title, command } = header
  const { cols: width, rows: height, type } = term
  const env = type ? { env: { TERM: type } } : {}
  yield `${JSON.stringify({ version: 2, width, height, timestamp, ...(title && { title }), ...(command && { command }), ...env })}\n`
  for await (const { at, code, data } of events) {
    const shown = shownCode(code)
    if (shown === undefined) continue
    // Without a terminal nothing has made a line begin at the left edge.
    const text = type === undefined && shown === 'o' ? data.replaceAll('\n', '\r\n') : data
    yield `${JSON.stringify([Math.round(at * 1e6) / 1e6, shown, text])}\n`
  }
}

function shownCode(code: CastEvent['code']): string | undefined {
  if (code === 'e') return 'o'
  return ['o', 'i', 'm', 'r'].includes(code) ? code : undefined
}
