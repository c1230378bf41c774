/**
 * Schema issues as sentences that name file, line and key. They repeat a value that is no secret, and never a whole
 * list or group, which may hold a secret in the wrong place.
 */
import type { z } from 'zod'
import { isRecord, type Layer } from './layers.ts'
import { nearestWord } from './nearest.ts'
import { configJsonSchema, SECRET_KEYS } from './schema.ts'

export function problemsOf(issue: z.core.$ZodIssue, layers: readonly Layer[]): string[] {
  const path = issue.path.map((part) => (typeof part === 'symbol' ? String(part) : part))
  const at = (key: readonly (string | number)[], message: string) => {
    const where = layers.map((layer) => layer.where(key)).findLast((found) => found !== undefined)
    const name = key.map(nameOnly).join('.')
    const said = mayHoldSecret(key) ? message.replace(GOT, '') : message
    return `${where === undefined ? '' : `${where}: `}${name === '' ? '' : `${name}: `}${said}`
  }
  if (issue.code === 'unrecognized_keys') return issue.keys.map((key) => at([...path, key], unknownKey(path, key)))
  if (issue.code === 'invalid_union') {
    // The alternative that got furthest is probably the one that was meant.
    const furthest = issue.errors.toSorted((a, b) => depthOf(b) - depthOf(a))[0] ?? []
    if (depthOf(furthest) > 0) {
      return furthest.flatMap((inner) => problemsOf({ ...inner, path: [...issue.path, ...inner.path] }, layers))
    }
  }
  if (issue.code === 'invalid_key') return [at(path, issue.issues.map((inner) => inner.message).join(', '))]
  return [at(path, issue.message)]
}

/** Matches the end of our sentences, also of those in parsed.ts. */
const GOT = /, got .*$/s

/** Returns true for a secret's key, a key in it, or a key around it: `users: hunter2`. */
function mayHoldSecret(path: readonly (string | number)[]): boolean {
  return SECRET_KEYS.map((key) => key.split('.')).some((secret) =>
    secret.slice(0, path.length).every((part, depth) => part === '*' || part === String(path[depth])),
  )
}

/** Shortens "Authorization Bearer hunter2": without a colon YAML takes all of it for a key. */
function nameOnly(part: string | number): string {
  return String(part).replace(/[^\w.@-].*$/s, '...')
}

function depthOf(issues: readonly z.core.$ZodIssue[]): number {
  return Math.max(0, ...issues.map(({ path }) => path.length))
}

function unknownKey(path: readonly (string | number)[], key: string): string {
  const near = nearestWord(key, keysAt(configJsonSchema(), path))
  return near === undefined ? 'there is no such key' : `there is no such key; is ${near} meant?`
}

/** Returns the keys that are allowed at a path, through lists, names and alternatives. */
function keysAt(schema: unknown, path: readonly (string | number)[]): string[] {
  if (!isRecord(schema)) return []
  if (Array.isArray(schema.anyOf)) return schema.anyOf.flatMap((inner: unknown) => keysAt(inner, path))
  const [first, ...rest] = path
  const properties = isRecord(schema.properties) ? schema.properties : {}
  if (first === undefined) return Object.keys(properties)
  if (typeof first === 'number') return keysAt(schema.items, rest)
  return keysAt(properties[first] ?? schema.additionalProperties, rest)
}

/** Rewrites zod's sentences to say what was found. Returns undefined to keep zod's. */
export function problemSentence(issue: z.core.$ZodRawIssue): string | undefined {
  const found = foundText(issue.input)
  if (issue.code === 'invalid_type')
    return `expected ${issue.expected === 'int' ? 'a whole number' : article(String(issue.expected))}, got ${found}`
  if (issue.code === 'invalid_union') return `expected a text or a number, got ${found}`
  if (issue.code === 'invalid_value') return `expected one of ${issue.values.map(String).join(', ')}, got ${found}`
  if (issue.code === 'too_small')
    return `must be at least ${issue.minimum}${issue.origin === 'array' ? ' long' : ''}, got ${found}`
  if (issue.code === 'too_big') return `must be at most ${issue.maximum}, got ${found}`
  return undefined
}

function foundText(input: unknown): string {
  if (Array.isArray(input)) return 'a list'
  if (isRecord(input)) return 'keys with values'
  const got = JSON.stringify(input) ?? 'nothing'
  return got.length > 60 ? `${got.slice(0, 60)}...` : got
}

function article(expected: string): string {
  const names: Record<string, string> = {
    string: 'a text',
    number: 'a number',
    boolean: 'true or false',
    array: 'a list',
    object: 'keys with values',
    record: 'names with values',
  }
  return names[expected] ?? expected
}
