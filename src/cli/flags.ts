/** Command line options as a layer of the configuration. */
import { resolve } from 'node:path'
import type { Flag } from '../config/layers.ts'
import { type LoadedConfig, loadConfig } from '../config/load.ts'

export interface ConfigFlags {
  readonly config?: string
  readonly listen?: readonly string[]
  readonly authorizedKeys?: readonly string[]
  readonly engine?: string
  readonly guest?: string
  readonly keys?: string
  readonly logLevel?: string
  readonly controlSocket?: string
}

/** Returns the flags with which another process, in any folder, loads the same configuration. */
export function againFlags(flags: ConfigFlags): string[] {
  const { config, engine, guest, keys, authorizedKeys = [] } = flags
  const given = (flag: string, value: string | undefined) => (value === undefined ? [] : [flag, value])
  return [
    ...given('--config', config && resolve(config)),
    ...given('--engine', engine),
    ...given('--guest', guest),
    ...given('--keys', keys && resolve(keys)),
    ...authorizedKeys.flatMap((file) => ['--authorized-keys', resolve(file)]),
  ]
}

export function configFrom(flags: ConfigFlags): LoadedConfig {
  const given: Flag[] = [
    { flag: '--listen', key: ['listen'], value: flags.listen },
    { flag: '--authorized-keys', key: ['authorizedKeys'], value: flags.authorizedKeys },
    { flag: '--engine', key: ['engine', 'kind'], value: flags.engine },
    { flag: '--guest', key: ['guest'], value: flags.guest },
    { flag: '--keys', key: ['keysDirectory'], value: flags.keys },
    { flag: '--log-level', key: ['log', 'level'], value: flags.logLevel },
    { flag: '--control-socket', key: ['controlSocket'], value: flags.controlSocket },
  ]
  return loadConfig({ file: flags.config, flags: given.filter(({ value }) => value !== undefined) })
}
