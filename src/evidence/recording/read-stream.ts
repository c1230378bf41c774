/** What is in the streams of a record, up to the last whole line, also while it is written or after its writer was killed. */
import { createReadStream } from 'node:fs'
import { StringDecoder } from 'node:string_decoder'
import { constants, createGunzip } from 'node:zlib'
import { z } from 'zod'

/** Ours have a megabyte at most. */
const MAX_LINE_CHARACTERS = 16 * 1024 * 1024

/** @throws Error: it is damaged, or errno */
export async function* recordLines(path: string): AsyncGenerator<string> {
  const file = createReadStream(path)
  // A member that is not whole is read as far as it goes.
  const text = createGunzip({ finishFlush: constants.Z_SYNC_FLUSH })
  file.on('error', (error) => text.destroy(error))
  file.pipe(text)
  try {
    const decoder = new StringDecoder('utf8')
    let left = ''
    for await (const piece of text) {
      const lines = (left + decoder.write(piece as Buffer)).split('\n')
      left = lines.pop() ?? ''
      if (left.length > MAX_LINE_CHARACTERS) throw new Error(`${path} has a line that is none of a record`)
      yield* lines
    }
  } finally {
    file.destroy()
    text.destroy()
  }
}

const header = z.object({
  version: z.literal(3),
  term: z.object({ cols: z.int(), rows: z.int(), type: z.string().optional() }),
  timestamp: z.number(),
  title: z.string().optional(),
  command: z.string().optional(),
})
const event = z.tuple([z.number().min(0), z.string(), z.string()])

export type CastHeader = z.infer<typeof header>

export interface CastEvent {
  /** Seconds since the beginning. */
  readonly at: number
  readonly code: string
  readonly data: string
}

export interface Cast {
  readonly header: CastHeader
  readonly events: AsyncGenerator<CastEvent>
}

/** @throws Error: it is damaged or empty, or errno */
export async function readCast(path: string): Promise<Cast> {
  const lines = recordLines(path)
  const first = await lines.next()
  if (first.done) throw new Error(`${path} is empty`)
  return { header: header.parse(JSON.parse(first.value)), events: eventsOf(lines) }
}

async function* eventsOf(lines: AsyncGenerator<string>): AsyncGenerator<CastEvent> {
  let at = 0
  for await (const line of lines) {
    // The format permits comments.
    if (line === '' || line.startsWith('#')) continue
    const [interval, code, data] = event.parse(JSON.parse(line))
    at += interval
    yield { at, code, data }
  }
}

/** The exact bytes of a stream, as they passed. */
export async function* streamBytes(events: AsyncIterable<CastEvent>, wanted: 'o' | 'e' | 'i'): AsyncGenerator<Buffer> {
  let before: CastEvent | undefined
  for await (const event of events) {
    if (before) yield event.code === 'b' ? Buffer.from(event.data, 'base64') : Buffer.from(before.data)
    before = event.code === wanted ? event : undefined
  }
  if (before) yield Buffer.from(before.data)
}
