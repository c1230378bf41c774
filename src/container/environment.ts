/** The environment of a session, as sshd builds one (session.c, do_setup_env) on top of the container's own. Pure. */
import { toMap } from './env-map.ts'
import type { EnvInfo } from './envinfo.ts'

export interface EnvironmentFacts {
  readonly info: EnvInfo
  /** Config.Env of the container, "KEY=value". */
  readonly containerEnv: readonly string[]
  readonly labels: Readonly<Record<string, string>>
  /** Set for every session by the operator's configuration. */
  readonly configured: Readonly<Record<string, string>>
  /** What the client sent and policy accepted. */
  readonly client: ReadonlyMap<string, string>
  /** environment= of the accepted key. */
  readonly key?: readonly string[]
  /** The client's command, where the key forces another. */
  readonly original?: string
  readonly remote: { readonly address: string; readonly port: number }
  readonly local: { readonly address: string; readonly port: number }
  /** On a terminal; "": its client named none. */
  readonly term?: string
}

/** As sshd's _PATH_STDPATH and SUPERUSER_PATH (pathnames.h), for containers whose image sets none. */
const USER_PATH = '/usr/local/bin:/usr/bin:/bin:/usr/games'
const ROOT_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

/** Entries to add to what the engine gives an exec anyway; later ones win, and a name alone is to be unset. */
export function sessionEnvironment(facts: EnvironmentFacts): string[] {
  const { info, remote, local } = facts
  const own = toMap(facts.containerEnv)
  const env = new Map<string, string>()
  if (!own.has('PATH')) env.set('PATH', info.uid === 0 ? ROOT_PATH : USER_PATH)
  for (const [key, value] of remoteEnv(facts.labels['devcontainer.metadata'], own)) env.set(key, value)
  for (const [key, value] of facts.client) env.set(key, value)
  env.set('USER', info.name)
  env.set('LOGNAME', info.name)
  env.set('HOME', info.home)
  env.set('SHELL', info.shell)
  if (facts.term) env.set('TERM', facts.term)
  for (const [key, value] of toMap(facts.key ?? [])) env.set(key, value)
  // SetEnv overrides the user's own, sent or of the key, and the default environment (sshd_config(5)).
  for (const [key, value] of Object.entries(facts.configured)) env.set(key, value)
  env.set('SSH_CLIENT', `${remote.address} ${remote.port} ${local.port}`)
  env.set('SSH_CONNECTION', `${remote.address} ${remote.port} ${local.address} ${local.port}`)
  if (facts.original !== undefined) env.set('SSH_ORIGINAL_COMMAND', facts.original)
  // A NUL would cut the variable at execve(2) and end the request at the engine.
  const entries = [...env].filter(([, value]) => !value.includes('\0')).map(([key, value]) => `${key}=${value}`)
  // Engines make a TERM of their own for a terminal; sshd sets none where the client has none (session.c, session_pty_req).
  return facts.term === '' && !env.has('TERM') && !own.has('TERM') ? [...entries, 'TERM'] : entries
}

/** It is parsed at each session's start. Those of devcontainers with many features have some ten thousand. */
const MAX_LABEL_LENGTH = 256 * 1024
const REFERENCE = '${containerEnv:'
/** The kernel takes no longer variable (MAX_ARG_STRLEN), and not much more than the other of all together (execve(2)). */
const MAX_VALUE_LENGTH = 128 * 1024
const MAX_REMOTE_ENV_LENGTH = 1024 * 1024

/**
 * `remoteEnv` of the devcontainer.metadata label (containers.dev/implementors/reference): an array of layers or a
 * single object, later layers win, null empties, ${containerEnv:NAME[:default]} is the container's. What is no such JSON,
 * or very long, sets nothing, and a label that is too much for a program sets what fits: it is text of whoever built the
 * image.
 */
export function remoteEnv(label: string | undefined, containerEnv: ReadonlyMap<string, string>): Map<string, string> {
  const env = new Map<string, string>()
  let size = 0
  if (label === undefined || label.length > MAX_LABEL_LENGTH) return env
  for (const layer of parseLabel(label)) {
    for (const [key, value] of remoteEnvOf(layer)) {
      if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(key) || (typeof value !== 'string' && value !== null)) continue
      const expanded = expand(value ?? '', containerEnv)
      size += key.length + (expanded?.length ?? 0)
      if (size > MAX_REMOTE_ENV_LENGTH) return env
      if (expanded !== undefined) env.set(key, expanded)
    }
  }
  return env
}

/** By hand, not by a schema: one that passes over what is bad makes an error for each, and there may be 100,000. */
function parseLabel(label: string): readonly unknown[] {
  try {
    const json: unknown = JSON.parse(label)
    return Array.isArray(json) ? json : [json]
  } catch {
    return []
  }
}

function remoteEnvOf(layer: unknown): readonly [string, unknown][] {
  if (!isObject(layer) || !('remoteEnv' in layer) || !isObject(layer.remoteEnv)) return []
  return Object.entries(layer.remoteEnv)
}

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}

/** In one pass, however a label is made; undefined: it would be longer than a variable can be. */
function expand(value: string, containerEnv: ReadonlyMap<string, string>): string | undefined {
  const [before = '', ...references] = value.split(REFERENCE)
  let text = before
  for (const reference of references) {
    const end = reference.indexOf('}')
    const [name = '', ...fallback] = reference.slice(0, Math.max(end, 0)).split(':')
    if (name === '') text += REFERENCE + reference
    else text += (containerEnv.get(name) ?? fallback.join(':')) + reference.slice(end + 1)
    if (text.length > MAX_VALUE_LENGTH) return undefined
  }
  return text
}
