/** The configuration, the people and the policy in force, and how a configuration that was read again takes their place. */
import type { Logger } from 'pino'
import { HatchwayError } from '../base/errors.ts'
import type { LoadedConfig } from '../config/load.ts'
import { changedKeys, needRestart, PEOPLE_KEYS, whyNotLive } from '../config/reload.ts'
import type { Config, LiveConfig } from '../config/schema.ts'
import type { EngineNaming } from '../engine/engine.ts'
import { createPolicyKeeper, type PolicyKeeper } from '../policy/live-policy.ts'
import { openExternal } from '../policy/open-external.ts'
import type { PolicySettings } from '../policy/policy.ts'
import type { PolicyEvent } from '../policy/policy-events.ts'
import { openPeople, type People, type Tried } from './people.ts'

/** What a reload did. */
export interface Reloaded {
  /** Keys that may log in. */
  readonly keys: number
  /** Keys of the configuration that changed and need a restart. */
  readonly restart: readonly string[]
  /** Sessions and forwards that are not permitted any more. */
  readonly ended: number
}

export interface InForce {
  config(): LiveConfig
  people(): People
  readonly policy: PolicyKeeper
  /**
   * Forget who somebody is and end what is not permitted any more, where that is wanted. Returns how many sessions and
   * forwards ended.
   */
  review(signal: AbortSignal): Promise<number>
  /** @throws HatchwayError CONFIG_INVALID: everything stays as it was */
  reload(signal: AbortSignal, next?: LoadedConfig): Promise<Reloaded>
}

export interface Start {
  readonly people: People
  /** Kept from one configuration to the next. */
  readonly tried: Tried
  readonly engine: EngineNaming
}

export function createInForce(
  first: Config,
  start: Start,
  where: LoadedConfig['where'] | undefined,
  log: Logger,
  emit: (event: PolicyEvent) => void = () => {},
): InForce {
  const { engine, tried } = start
  let config = first
  let people = start.people
  // Of what is asked about at a login these need a restart.
  const { hostSuffixes, keysDirectory, recording } = first
  const settingsOf = (of: Config, where: LoadedConfig['where'] | undefined): PolicySettings => {
    const common = { acceptEnv: of.environment.accept, engine }
    const { record } = recording
    const external = openExternal(of.authorization, common, log)
    return { ...common, record, rules: of.rules, where: (index) => where?.(['rules', index]), external }
  }
  const policy = createPolicyKeeper(settingsOf(first, where), (identity) => people.login.today(identity), log, emit)

  /** All that may fail comes first, so that it is all or nothing. Returns the keys that need a restart. */
  async function takeOver(next: LoadedConfig): Promise<readonly string[]> {
    const reason = whyNotLive(config, next.config)
    if (reason !== undefined) throw new HatchwayError('CONFIG_INVALID', reason)
    const changed = changedKeys(config, next.config)
    const settings = settingsOf(next.config, next.where)
    if (PEOPLE_KEYS.some((key) => changed.includes(key)))
      people = await openPeople({ ...next.config, hostSuffixes, keysDirectory }, tried, log)
    policy.use(settings)
    policy.forget()
    config = next.config
    return needRestart(changed)
  }

  async function review(signal: AbortSignal): Promise<number> {
    policy.forget()
    return config.endWithdrawn ? policy.review(signal) : 0
  }

  return {
    config: () => config,
    people: () => people,
    policy,
    review,
    async reload(signal, next) {
      const restart = next ? await takeOver(next) : []
      const keys = await people.keys.reload()
      return { keys, restart, ended: await review(signal) }
    },
  }
}
