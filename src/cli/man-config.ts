/** hatchway.yaml(5), made from the configuration's schema: every key, what it holds, and its default. */
import { isRecord } from '../config/layers.ts'
import { configJsonSchema, LIVE_KEYS } from '../config/schema.ts'
import { roffText, verbatim } from './roff.ts'

const LIVE: readonly string[] = LIVE_KEYS
const EXAMPLE = [
  'listen: [0.0.0.0:2222]',
  'users:',
  '  alice: { groups: [developers], authorizedKeys: [users/alice.keys] }',
  'rules:',
  '  - who: { groups: [developers] }',
  '    containers: { projects: [shop] }',
  '    users: [dev]',
  '    actions: { shell: true, exec: true, sftp: true }',
]
/** Longer ones (all ciphers, all shells) hide what the key is. */
const MAX_DEFAULT_CHARACTERS = 60

export function configManPage(version: string): string {
  return [
    `.TH HATCHWAY.YAML 5 "" "hatchway ${version}" "File Formats"`,
    '.SH NAME',
    'hatchway.yaml \\- the configuration of hatchway(1)',
    '.SH DESCRIPTION',
    'A file in YAML. It is the first that exists of the one that',
    '.B \\-\\-config\nnames,',
    '.BR HATCHWAY_CONFIG ,',
    roffText(
      '~/.config/hatchway/hatchway.yaml, /etc/hatchway/hatchway.yaml and config/hatchway.yaml of a checkout; no file is needed.',
    ),
    'An unknown key or a bad value is refused, with its file and line.',
    roffText(
      'File names are relative to the file they stand in; ~ is the home directory. Times are as in sshd_config(5): 90, 120s, 2m, 1h30m.',
    ),
    'Keys marked (live) are taken over by a running gateway when the file changes; the others need a restart.',
    '.B hatchway config check\nsays what is wrong with a file,',
    '.B hatchway config example\nprints one with every key.',
    '.SH KEYS',
    ...keyLines(configJsonSchema(), []),
    '.SH EXAMPLES',
    ...verbatim(EXAMPLE),
    '.PP',
    'More are in config/examples of the package: one person, a team, robots with certificates, two factors, HAProxy.',
    '.SH SEE ALSO',
    '.BR hatchway (1),\n.BR sshd_config (5)',
    '',
  ].join('\n')
}

/** NAME stands for a name of one's own, [] for the entries of a list. */
function keyLines(schema: unknown, path: readonly string[]): string[] {
  if (!isRecord(schema)) return []
  const own = path.length === 0 ? [] : entry(schema, path)
  const inner = isRecord(schema.properties)
    ? Object.entries(schema.properties).flatMap(([key, below]) => keyLines(below, [...path, key]))
    : []
  const alternatives = Array.isArray(schema.anyOf) ? schema.anyOf.flatMap((one: unknown) => below(one, path)) : []
  return [
    ...own,
    ...inner,
    ...alternatives,
    ...named(schema.additionalProperties, [...path, 'NAME']),
    ...listed(schema.items, path),
  ]
}

/** An alternative adds its keys, and no entry of its own. */
function below(schema: unknown, path: readonly string[]): string[] {
  return isRecord(schema) && isRecord(schema.properties)
    ? Object.entries(schema.properties).flatMap(([key, inner]) => keyLines(inner, [...path, key]))
    : []
}

function named(schema: unknown, path: readonly string[]): string[] {
  return below(schema, path)
}

function listed(schema: unknown, path: readonly string[]): string[] {
  return below(schema, [...path.slice(0, -1), `${path.at(-1)}[]`])
}

function entry(schema: Record<string, unknown>, path: readonly string[]): string[] {
  const live = path.length === 1 && LIVE.includes(path[0] ?? '') ? ' (live)' : ''
  const description = typeof schema.description === 'string' ? schema.description : ''
  const values = Array.isArray(schema.enum) ? ` One of ${schema.enum.join(', ')}.` : ''
  const text = `${description}${values}${defaultOf(schema)}${live}`.trim()
  return ['.TP', `.B ${roffText(path.join('.'))}`, ...(text === '' ? [] : [roffText(text)])]
}

function defaultOf(schema: Record<string, unknown>): string {
  if (!('default' in schema) || isRecord(schema.properties)) return ''
  const value = JSON.stringify(schema.default)
  return value.length > MAX_DEFAULT_CHARACTERS ? '' : ` Default: ${value.replaceAll('"', '')}.`
}
