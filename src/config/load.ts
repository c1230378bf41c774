/** File + environment + flags → Config. All problems are reported at once, with file, line and key. */
import { accessSync, constants, existsSync, readFileSync, statSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { HatchwayError, messageOf } from '../base/errors.ts'
import { PACKAGE_ROOT } from '../base/package-root.ts'
import { problemSentence, problemsOf } from './explain.ts'
import {
  anyOfOurs,
  environmentLayer,
  environmentName,
  type Flag,
  fileLayer,
  flagLayer,
  isRecord,
  type KeyPath,
  type Layer,
  leaves,
} from './layers.ts'
import { nearestWord } from './nearest.ts'
import { type RecordSetting, strictest } from './recording.ts'
import { type Config, configSchema, type Template, USUAL_ADDRESS } from './schema.ts'

const MAX_FILE_BYTES = 1024 * 1024
/** Read by other parts of the program, so not a misspelt key. */
const OTHER_VARIABLES = /^HATCHWAY_(CONFIG|PROGRAM|ENGINE_DATA|ENGINE_RUN|(TEST|E2E|BENCH)_.*)$/

/** Comes with the program: every key with its default. */
const OWN_FILE = join(PACKAGE_ROOT, 'config', 'hatchway.yaml')

/** One line for each problem; `message` has them all. */
export class ConfigError extends HatchwayError {
  readonly problems: readonly string[]

  constructor(problems: readonly string[]) {
    super('CONFIG_INVALID', problems.join('; '))
    this.name = 'ConfigError'
    this.problems = problems
  }
}

export interface ConfigSources {
  /** --config; otherwise HATCHWAY_CONFIG, otherwise the first of the usual places that exists. */
  readonly file?: string | undefined
  readonly env?: NodeJS.ProcessEnv
  readonly flags?: readonly Flag[]
}

export interface LoadedConfig {
  readonly config: Config
  /** The file that was read, if any. */
  readonly file?: string
  /** Problems for which a configuration is not refused. */
  readonly warnings: readonly string[]
  /** Returns where a key stands: "hatchway.yaml:12". */
  where(key: KeyPath): string | undefined
  /** Reads the same sources again. @throws ConfigError */
  again(): LoadedConfig
}

export function loadConfig(sources: ConfigSources): LoadedConfig {
  const env = sources.env ?? process.env
  const home = env.HOME || homedir()
  const file = sources.file ?? env.HATCHWAY_CONFIG ?? usualPlaces(env, home).find((place) => existsSync(place))
  const layers: Layer[] = []
  if (file !== undefined) layers.push(fileLayer(readConfigFile(file), file, home))
  layers.push(environmentLayer(env, home), flagLayer(sources.flags ?? [], home))

  const broken = layers.flatMap((layer) => layer.problems)
  if (broken.length > 0) throw new ConfigError(broken)
  const result = configSchema.safeParse(
    layers.reduce<unknown>((tree, layer) => merge(tree, layer.tree), {}),
    {
      error: problemSentence,
    },
  )
  if (!result.success) throw new ConfigError(result.error.issues.flatMap((issue) => problemsOf(issue, layers)))
  const where = (key: KeyPath) => layers.map((layer) => layer.where(key)).findLast((found) => found !== undefined)
  const crossed = crossProblems(result.data, where)
  if (crossed.length > 0) throw new ConfigError(crossed)
  const config = { ...result.data, keysDirectory: result.data.keysDirectory ?? defaultKeysDirectory(env, home) }
  return {
    config,
    warnings: unknownVariables(env),
    ...(file !== undefined && { file }),
    where,
    again: () => loadConfig({ ...sources, file }),
  }
}

/** What is wrong with keys together. */
function crossProblems(
  config: Pick<Config, 'audit' | 'engine' | 'engines' | 'templates' | 'rules' | 'recording'>,
  where: (key: KeyPath) => string | undefined,
): string[] {
  const { audit, engine, engines, templates = {} } = config
  const problem = (key: KeyPath, text: string) => `${where(key) ?? 'configuration'}: ${key.join('.')}: ${text}`
  // `engine` as the example file has it says nothing.
  const { kind, endpoint, cli } = engine
  const named = Object.entries({ kind: kind === 'auto' ? undefined : kind, endpoint, cli })
  // Each stands somewhere of its own: a file, a variable, --engine.
  const both = engines === undefined ? [] : named.flatMap(([key, value]) => (value === undefined ? [] : [key]))
  const made = Object.entries(templates).flatMap(([name, { engine }]) =>
    engine === undefined || (engines && Object.hasOwn(engines, engine))
      ? []
      : [problem(['templates', name, 'engine'], 'expected one of the names under engines')],
  )
  const kindOf = (name: string | undefined) =>
    engines === undefined ? kind : (engines[name ?? Object.keys(engines)[0] ?? '']?.kind ?? 'auto')
  const impossible = Object.entries(templates).flatMap(([name, template]) =>
    wrongFor(kindOf(template.engine), template).map(([key, text]) => problem(['templates', name, key], text)),
  )
  return [
    ...impossible,
    ...both.map((key) =>
      problem(['engine', key], 'is for one engine, and engines names several: leave one of them out'),
    ),
    ...made,
    ...unrecordable(config).map((key) => problem(key, 'nothing is recorded without recording.directory: name that')),
    ...(audit.onFailure === 'refuse' && audit.file === undefined
      ? [problem(['audit', 'onFailure'], 'nothing is recorded without audit.file: name that, or leave refuse out')]
      : []),
  ]
}

/** What of a template its engine cannot hold. */
function wrongFor(kind: string, template: Template): (readonly [key: string, text: string])[] {
  if (kind !== 'kubernetes') return template.pod === undefined ? [] : [['pod', 'is for kind kubernetes']]
  const { user, network, limits, init } = template
  return [
    ...(user !== undefined && !/^\d+(:\d+)?$/.test(user)
      ? [['user', 'of a pod is a number: uid or uid:gid'] as const]
      : []),
    ...(network !== undefined ? [['network', 'a pod has the network of its cluster'] as const] : []),
    ...(limits.pids !== undefined ? [['limits.pids', 'is the kubelet’s to say for pods'] as const] : []),
    ...(init ? [['init', 'a pod has none; pod.spec.shareProcessNamespace reaps as one does'] as const] : []),
  ]
}

/** Where something is to be recorded, and there is no place for it. */
function unrecordable({
  rules = [],
  templates = {},
  recording,
}: Pick<Config, 'rules' | 'templates' | 'recording'>): KeyPath[] {
  if (recording.directory !== undefined) return []
  const isWanted = (record: RecordSetting | undefined) => strictest([record]) !== undefined
  return [
    ...(isWanted(recording.record) ? [['recording', 'record']] : []),
    ...rules.flatMap(({ record }, index) => (isWanted(record) ? [['rules', index, 'record']] : [])),
    ...Object.entries(templates).flatMap(([name, { record }]) =>
      isWanted(record) ? [['templates', name, 'record']] : [],
    ),
  ]
}

/** Nobody has chosen where the gateway listens: it is where the program itself says, or its own file as it comes. */
export function isUsualAddress({ config, where }: Pick<LoadedConfig, 'config' | 'where'>): boolean {
  const by = where(['listen'])
  const [only, ...others] = config.listen
  const usual = only?.host === USUAL_ADDRESS.host && only.port === USUAL_ADDRESS.port && others.length === 0
  return usual && (by === undefined || by.startsWith(`${OWN_FILE}:`))
}

function usualPlaces(env: NodeJS.ProcessEnv, home: string): string[] {
  return [
    join(env.XDG_CONFIG_HOME || join(home, '.config'), 'hatchway', 'hatchway.yaml'),
    '/etc/hatchway/hatchway.yaml',
    OWN_FILE,
  ]
}

function readConfigFile(file: string): string {
  try {
    const { size } = statSync(file)
    if (size > MAX_FILE_BYTES)
      throw new ConfigError([`${file}: larger than ${MAX_FILE_BYTES} bytes, surely not a configuration`])
    return readFileSync(file, 'utf8')
  } catch (error) {
    if (error instanceof ConfigError) throw error
    throw new ConfigError([`${file}: cannot be read (${messageOf(error)})`])
  }
}

/** Groups are merged key by key, everything else is replaced by the later layer; environment.set is one value. */
function merge(under: unknown, over: unknown, path = ''): unknown {
  if (path === 'environment.set' || !isRecord(under) || !isRecord(over)) return over
  const merged: Record<string, unknown> = { ...under }
  for (const [key, value] of Object.entries(over)) {
    merged[key] = key in under ? merge(under[key], value, path ? `${path}.${key}` : key) : value
  }
  return merged
}

function unknownVariables(env: NodeJS.ProcessEnv): string[] {
  if (!anyOfOurs(env)) return []
  const known = leaves().map((leaf) => environmentName(leaf.path))
  return Object.keys(env)
    .filter((name) => name.startsWith('HATCHWAY_') && !known.includes(name) && !OTHER_VARIABLES.test(name))
    .map((name) => {
      const near = nearestWord(name, known)
      return `${name} in the environment is no setting${near === undefined ? '' : `; is ${near} meant?`}`
    })
}

/** keys/ of a checkout that is writable; an installed package (in node_modules, or root's) keeps no keys. */
function defaultKeysDirectory(env: NodeJS.ProcessEnv, home: string): string {
  const inCheckout = join(PACKAGE_ROOT, 'keys')
  if (!PACKAGE_ROOT.includes('/node_modules/') && writable(inCheckout)) return inCheckout
  return join(env.XDG_STATE_HOME || join(home, '.local', 'state'), 'hatchway', 'keys')
}

function writable(directory: string): boolean {
  try {
    accessSync(directory, constants.W_OK)
    return true
  } catch {
    return false
  }
}
