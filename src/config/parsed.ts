/** Parses a value that people write as text, or says in a sentence what was expected and what was found. */
import { z } from 'zod'

export function parsed<I extends z.ZodType<string | number>, O>(
  input: I,
  parse: (value: z.output<I>) => O | undefined,
  expected: string,
) {
  return input.transform((value, context) => {
    const result = parse(value)
    if (result !== undefined) return result
    context.issues.push({ code: 'custom', input: value, message: `expected ${expected}, got ${JSON.stringify(value)}` })
    return z.NEVER
  })
}
