/** Where settings come from: file, environment, flags. Each layer can say where in it a key stands. */
import { isAbsolute, resolve } from 'node:path'
import * as Yaml from 'yaml'
import { messageOf } from '../base/errors.ts'
import { configJsonSchema, PATH_KEYS } from './schema.ts'

export type KeyPath = readonly (string | number)[]

export interface Layer {
  readonly tree: Readonly<Record<string, unknown>>
  /** "hatchway.yaml:12", "HATCHWAY_LISTEN", "--listen"; undefined when the layer does not have the key. */
  where(key: KeyPath): string | undefined
  /** What is wrong before the schema is applied. */
  readonly problems: readonly string[]
}

export interface PathContext {
  readonly home: string
  readonly directory: string
}

/** Parses YAML with positions. The library limits how far anchors expand, and refuses duplicate keys. */
export function fileLayer(text: string, file: string, home: string): Layer {
  const lines = new Yaml.LineCounter()
  const document = Yaml.parseDocument(text, {
    lineCounter: lines,
    prettyErrors: false,
    strict: true,
    uniqueKeys: true,
    logLevel: 'error',
  })
  const line = (offset: number) => `${file}:${lines.linePos(offset).line}`
  const problems = [...document.errors, ...document.warnings].map((e) => `${line(e.pos[0])}: ${yamlProblem(e)}`)
  let tree: Record<string, unknown> = {}
  if (problems.length === 0) {
    try {
      const value: unknown = document.toJS() ?? {}
      if (isRecord(value)) tree = value
      else problems.push(`${file}:1: expected keys with values, as in "listen: [127.0.0.1:2222]"`)
    } catch (error) {
      // The text after a colon comes from the file: "Unresolved alias ...: hunter2".
      problems.push(`${file}: ${messageOf(error).replace(/:.*$/s, '')}`)
    }
  }
  const where = (key: KeyPath) => {
    const offset = offsetOf(document.contents, key)
    return offset === undefined ? undefined : line(offset)
  }
  return { tree: withPaths(tree, { home, directory: resolve(file, '..') }), where, problems }
}

/** The library's messages for these quote nothing of the file, which may be a secret that lacks quotes. */
const TELLING: readonly Yaml.ErrorCode[] = [
  'BAD_INDENT',
  'BLOCK_AS_IMPLICIT_KEY',
  'BLOCK_IN_FLOW',
  'DUPLICATE_KEY',
  'KEY_OVER_1024_CHARS',
  'MISSING_CHAR',
  'MULTILINE_IMPLICIT_KEY',
  'MULTIPLE_DOCS',
  'TAB_AS_INDENT',
]

function yamlProblem({ code, message }: Yaml.YAMLError): string {
  if (TELLING.includes(code)) return oneLine(message)
  const what = code.toLowerCase().replaceAll('_', ' ')
  return `not YAML as we read it (${what}); a text with signs in it wants quotes`
}

/** Returns the offset of the deepest part of `key` that exists; undefined if not even its first part does. */
function offsetOf(root: Yaml.Node | null, key: KeyPath): number | undefined {
  let node: unknown = root
  let offset: number | undefined
  for (const part of key) {
    if (Yaml.isMap(node)) {
      const pair = node.items.find((item) => Yaml.isScalar(item.key) && String(item.key.value) === String(part))
      if (!pair) break
      if (Yaml.isScalar(pair.key) && pair.key.range) offset = pair.key.range[0]
      node = pair.value
      continue
    }
    const item: unknown = isCollection(node) ? node.get(Number(part), true) : undefined
    if (!isRanged(item)) break
    offset = item.range[0]
    node = item
  }
  return offset
}

/** HATCHWAY_LIMITS_MAX_AUTH_TRIES for limits.maxAuthTries. Lists are separated by commas. */
export function environmentLayer(env: NodeJS.ProcessEnv, home: string): Layer {
  const tree: Record<string, unknown> = {}
  const names = new Map<string, string>()
  // The schema is searched only if there is something to find.
  for (const leaf of anyOfOurs(env) ? leaves() : []) {
    const name = environmentName(leaf.path)
    const text = env[name]
    if (text === undefined) continue
    names.set(leaf.path.join('.'), name)
    put(tree, leaf.path, fromText(text, leaf.type))
  }
  return namedLayer(tree, names, home)
}

/** Returns whether any variable could be ours. */
export function anyOfOurs(env: NodeJS.ProcessEnv): boolean {
  return Object.keys(env).some((name) => name.startsWith('HATCHWAY_'))
}

export interface Flag {
  readonly flag: string
  readonly key: readonly string[]
  readonly value: unknown
}

export function flagLayer(flags: readonly Flag[], home: string): Layer {
  const tree: Record<string, unknown> = {}
  for (const { key, value } of flags) put(tree, key, value)
  const names = new Map(flags.map(({ key, flag }) => [key.join('.'), flag]))
  return namedLayer(tree, names, home)
}

/** `names`: the variable or flag of each key. */
function namedLayer(tree: Record<string, unknown>, names: ReadonlyMap<string, string>, home: string): Layer {
  return {
    tree: withPaths(tree, { home, directory: process.cwd() }),
    where(key) {
      for (let length = key.length; length > 0; length--) {
        const name = names.get(key.slice(0, length).join('.'))
        if (name !== undefined) return name
      }
      return undefined
    },
    problems: [],
  }
}

/** Between words: authorized|Keys, CA|Keys. */
const WORD_START = /(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])/g

export function environmentName(path: readonly string[]): string {
  return `HATCHWAY_${path.map((part) => part.replace(WORD_START, '_').toUpperCase()).join('_')}`
}

export interface Leaf {
  readonly path: readonly string[]
  readonly type: string
}

let known: readonly Leaf[] | undefined

/** Every key that holds a value, from the schema itself. */
export function leaves(): readonly Leaf[] {
  known ??= leavesOf(configJsonSchema(), [])
  return known
}

function leavesOf(schema: unknown, path: readonly string[]): Leaf[] {
  if (!isRecord(schema)) return []
  if (isRecord(schema.properties)) {
    return Object.entries(schema.properties).flatMap(([key, inner]) => leavesOf(inner, [...path, key]))
  }
  return [{ path, type: Array.isArray(schema.type) ? 'mixed' : String(schema.type) }]
}

function fromText(text: string, type: string): unknown {
  if (type === 'array') return text.split(',').map((item) => item.trim())
  if (type === 'string' || type === 'mixed') return text
  const document = Yaml.parseDocument(text)
  const value: unknown = document.errors.length > 0 ? text : document.toJS()
  return value
}

function put(tree: Record<string, unknown>, path: readonly string[], value: unknown): void {
  const [first, ...rest] = path
  if (first === undefined) return
  if (rest.length === 0) {
    tree[first] = value
    return
  }
  const inner = tree[first]
  const group: Record<string, unknown> = isRecord(inner) ? inner : {}
  tree[first] = group
  put(group, rest, value)
}

function withPaths(tree: Record<string, unknown>, context: PathContext): Record<string, unknown> {
  const copy = structuredClone(tree)
  for (const key of PATH_KEYS) makeAbsolute(copy, key.split('.'), context)
  return copy
}

/** "*" in a key stands for every name there. */
function makeAbsolute(
  node: Record<string, unknown>,
  [first = '', ...rest]: readonly string[],
  context: PathContext,
): void {
  for (const key of first === '*' ? Object.keys(node) : [first]) {
    const value = node[key]
    if (rest.length > 0) {
      if (isRecord(value)) makeAbsolute(value, rest, context)
    } else if (Array.isArray(value)) {
      node[key] = value.map((item: unknown) => absoluteText(item, context))
    } else if (key in node) {
      node[key] = absoluteText(value, context)
    }
  }
}

function absoluteText(value: unknown, context: PathContext): unknown {
  return typeof value === 'string' && value !== '' ? absolute(value, context) : value
}

export function absolute(path: string, { home, directory }: PathContext): string {
  if (path === '~' || path.startsWith('~/')) return resolve(home, path.slice(2))
  return isAbsolute(path) ? path : resolve(directory, path)
}

export function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isCollection(node: unknown): node is { get(key: number, keep: true): unknown } {
  return isRecord(node) && 'items' in node && typeof node.get === 'function'
}

function isRanged(node: unknown): node is Yaml.Node & { range: [number, number, number] } {
  return isRecord(node) && Array.isArray(node.range)
}

function oneLine(text: string): string {
  return text.replaceAll(/\s*\n\s*/g, ' ')
}
