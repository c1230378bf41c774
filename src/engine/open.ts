/** The engine of a configuration, or all of several as one. */
import { part } from '../base/parts.ts'
import { type EngineChoice, openEngine } from './choose.ts'
import type { Engine } from './engine.ts'
import { type EngineSettings, openKind } from './kinds.ts'
import type { PartNotice } from './many/part.ts'
import { createMeteredEngine, type MeterCall } from './metered.ts'

const loadMany = part(() => import('./many/many.ts'))

export interface EngineConfig {
  readonly engine: EngineChoice
  /** By name, in place of `engine`. */
  readonly engines?: Readonly<Record<string, EngineSettings>> | undefined
}

export interface OpenOptions {
  /** As EngineChoice.lazy; several are never waited for. */
  readonly lazy?: boolean
  readonly notice?: (notice: PartNotice) => void
  /** Takes each call of each engine. */
  readonly meter?: MeterCall | undefined
  readonly env?: NodeJS.ProcessEnv
}

/** @throws HatchwayError as openEngine() */
export async function openEngines(
  { engine, engines }: EngineConfig,
  signal: AbortSignal,
  { lazy = false, notice, meter, env = process.env }: OpenOptions = {},
): Promise<Engine> {
  const metered = (engine: Engine, name?: string) => (meter ? createMeteredEngine(engine, meter, name) : engine)
  if (engines === undefined) return metered(await openEngine({ ...engine, lazy }, signal, env))
  const { createManyEngine } = await loadMany()
  const opening = Object.entries(engines).map(async ([name, settings]) => {
    return [name, metered(await openKind({ settings, key: `engines.${name}`, signal, env }), name)] as const
  })
  const opened = await Promise.allSettled(opening)
  const failed = opened.find((one) => one.status === 'rejected')
  if (failed) {
    for (const one of opened) if (one.status === 'fulfilled') await one.value[1].close()
    throw failed.reason
  }
  const found = opened.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
  return createManyEngine(Object.fromEntries(found), notice)
}
