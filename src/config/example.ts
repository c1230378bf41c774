/** config/hatchway.yaml, written from the schema: every key with its comment and default, or as "#key:" without one. */
import { stringify } from 'yaml'
import { isRecord } from './layers.ts'
import { configJsonSchema, LIVE_KEYS } from './schema.ts'

const WIDTH = 110
const LIVE: readonly string[] = LIVE_KEYS

const HEADER = `# Hatchway's configuration. Every key is here with its default; a key after a "#" without a space has none, and
# shows an example. File names are relative to this file, ~ is your home. Times: 90, 120s, 2m, 1h30m.
# HATCHWAY_<KEY> in the environment overrides (HATCHWAY_LISTEN, HATCHWAY_LIMITS_MAX_AUTH_TRIES), flags override both.
# (live): taken over when the configuration is read again, with all that is in such a group; the rest needs a restart.
# Check with \`hatchway config check --config FILE\`. This file is written by \`hatchway config example\`.
`

export function exampleConfig(): string {
  return `${HEADER}${keys(configJsonSchema(), '')}`
}

/** `asExample`: with examples in place of defaults, not commented out. */
function keys(schema: unknown, indent: string, asExample = false): string {
  if (!isRecord(schema) || !isRecord(schema.properties)) return ''
  const blocks = Object.entries(schema.properties).map(([key, inner]) => {
    if (!isRecord(inner)) return ''
    const mark = indent === '' && LIVE.includes(key) ? ' (live)' : ''
    const comment = wrapped(`${inner.description ?? ''}${mark}`, `${indent}# `)
    if (isRecord(inner.properties)) return `${comment}${indent}${key}:\n${keys(inner, `${indent}  `)}`
    const named = inner.additionalProperties
    if (isRecord(named) && isRecord(named.properties)) {
      const example = `${indent}  NAME:\n${keys(named, `${indent}    `, true)}`
      return `${comment}${`${indent}${key}:\n${example}`.replaceAll(/^/gm, '#').slice(0, -1)}`
    }
    if ('default' in inner && !(asExample && 'examples' in inner))
      return `${comment}${indent}${key}: ${yaml(inner.default)}\n`
    const example: unknown = Array.isArray(inner.examples) ? inner.examples[0] : ''
    return `${comment}${indent}${asExample ? '' : '#'}${key}: ${yaml(example)}\n`
  })
  return blocks.map((block) => (indent === '' ? `\n${block}` : block)).join('')
}

function yaml(value: unknown): string {
  return stringify(value, { collectionStyle: 'flow', lineWidth: 0 }).trim()
}

function wrapped(text: string, prefix: string): string {
  const lines: string[] = ['']
  for (const word of text.split(' ')) {
    const line = lines[lines.length - 1] ?? ''
    if (line !== '' && prefix.length + line.length + 1 + word.length > WIDTH) lines.push(word)
    else lines[lines.length - 1] = line === '' ? word : `${line} ${word}`
  }
  return lines.map((line) => `${prefix}${line}\n`).join('')
}
