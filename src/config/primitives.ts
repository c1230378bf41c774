/** Values that several keys have in common; their syntax is in values.ts. */
import { z } from 'zod'
import { parseBlock } from '../net/address.ts'
import { parsed } from './parsed.ts'
import { parseCount, parseDuration } from './values.ts'

export const text = z.string().min(1)
export const fileName = z.string().min(1)
export const textOrNumber = z.union([z.string(), z.number()])
export const duration = () =>
  parsed(textOrNumber, parseDuration, 'a time such as 90, 120s, 2m or 1h30m (at most 24 days)')
export const count = () => parsed(textOrNumber, parseCount, 'a number from 1 on, or none')
export const block = parsed(z.string(), parseBlock, 'an address or a block of them such as 10.0.0.0/8 or 2001:db8::/32')
/** A list of arguments, or one line with quotes; no shell reads it. */
export const command = z.union([text, z.array(text).min(1)])
export const envName = z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'expected a variable name')
// A NUL ends a variable early in every engine: the rest would be lost silently.
export const envValue = z.string().refine((value) => !value.includes('\0'), 'a NUL byte cannot be in a variable')
