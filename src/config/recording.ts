/** `recording` of the configuration, and `record` of rules and templates: what sessions show, kept (docs/recording.md). */
import { z } from 'zod'
import type { Immutable } from './immutable.ts'
import { parsed } from './parsed.ts'
import { duration, fileName, textOrNumber } from './primitives.ts'
import { parseSize } from './values.ts'

/** From lax to strict. */
const MODES = ['off', 'best-effort', 'required'] as const
const PARTS = ['terminal', 'commands', 'files', 'forwards', 'input'] as const
const USUAL_PARTS: readonly RecordPart[] = ['terminal', 'commands', 'files', 'forwards']

export type RecordPart = (typeof PARTS)[number]

const mode = z.enum(MODES)

export const record = z.union(
  [
    mode,
    z.strictObject({
      mode: mode.describe(
        'best-effort: the session goes on whatever happens to its record. required: it does not begin without one.',
      ),
      of: z
        .array(z.enum(PARTS))
        .min(1)
        .optional()
        .describe('Default: all but input, which is only recorded of commands without a terminal.'),
      notice: z.boolean().default(false).describe('Whether the user is told at the beginning.'),
    }),
  ],
  { error: 'expected off, best-effort, required or such as { mode: required, notice: true }' },
)

export type RecordSetting = Immutable<z.output<typeof record>>

const size = parsed(textOrNumber, (value) => (value === 'none' ? 0 : parseSize(String(value))), 'bytes such as 10G')

export const recording = z.strictObject({
  directory: fileName.optional().meta({
    description: 'Where records are, a folder each. Default: none, and nothing can be recorded.',
    examples: ['/var/lib/hatchway/recordings'],
  }),
  record: record
    .optional()
    .meta({ description: 'What holds where a rule does not say. Default: off.', examples: ['best-effort'] }),
  keepFor: duration()
    .prefault('none')
    .describe(
      'Records that ended longer ago are removed, unless they are held (`hatchway records hold`). none: never.',
    ),
  keepSize: size
    .prefault('none')
    .describe('While all of them are larger the oldest that ended are removed, unless they are held. none: never.'),
})

/** What is to be recorded of a session. */
export interface RecordTerms {
  readonly mode: 'best-effort' | 'required'
  readonly of: readonly RecordPart[]
  readonly notice: boolean
}

/** The strictest mode, of all that any of them names; undefined: nothing. */
export function strictest(all: readonly (RecordSetting | RecordTerms | undefined)[]): RecordTerms | undefined {
  let terms: RecordTerms | undefined
  for (const one of all) {
    const { mode, of = USUAL_PARTS, notice = false } = typeof one === 'object' ? one : { mode: one ?? 'off' }
    if (mode === 'off') continue
    terms = {
      mode: terms?.mode === 'required' ? 'required' : mode,
      of: PARTS.filter((part) => of.includes(part) || terms?.of.includes(part)),
      notice: notice || terms?.notice === true,
    }
  }
  return terms
}
