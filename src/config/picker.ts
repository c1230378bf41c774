/** `picker`: a word, or keys. */
import { z } from 'zod'

const style = z.enum(['search', 'lines'])

const keys = z.strictObject({
  style: style.default('search').describe('lines: numbered lines and a typed answer, for everybody.'),
  again: z
    .boolean()
    .default(false)
    .describe('Whether the picker comes back when the session in what was picked has ended.'),
})

export const picker = z
  .union([style, keys], { error: 'expected search, lines, or keys such as { style: search, again: true }' })
  .transform((given) => (typeof given === 'string' ? { style: given, again: false } : given))
