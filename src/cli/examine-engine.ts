/** `hatchway doctor`: the engine that a gateway with this configuration uses, what named it, and whether it answers. */
import { asHatchwayError } from '../base/errors.ts'
import { plural } from '../base/plural.ts'
import type { Config } from '../config/schema.ts'
import { adviceOnEngine, NAME_IT } from '../engine/advice.ts'
import { type ChosenEngine, chooseEngine, type EngineChoice, openEngine } from '../engine/choose.ts'
import type { Engine } from '../engine/engine.ts'
import { choiceOf, type EngineSettings, openKind } from '../engine/kinds.ts'
import { engineLimit, withReason } from '../engine/messages.ts'
import { deadline } from '../lifetime/deadline.ts'
import type { Finding } from './finding.ts'

const ENGINE_MS = 20_000

/** One finding for each engine of the configuration. */
export async function examineEngine({ engine, engines }: Pick<Config, 'engine' | 'engines'>): Promise<Finding[]> {
  const signal = deadline(engineLimit('listing containers', ENGINE_MS))
  if (engines === undefined) return [await examineOne('engine', engine, signal)]
  // At the same time: one that hangs is waited for once.
  return Promise.all(
    Object.entries(engines).map(([name, settings]) => {
      const check = `engine ${name}`
      const choice = choiceOf(name, settings)
      return choice ? examineOne(check, choice, signal) : examineKind(check, name, settings, signal)
    }),
  )
}

async function examineOne(check: string, choice: EngineChoice, signal: AbortSignal): Promise<Finding> {
  let chosen: ChosenEngine
  let opened: Engine
  try {
    chosen = await chooseEngine(choice)
    // As a start does it, which does not insist on an answer, and may then fall back to another way.
    opened = await openEngine({ ...choice, lazy: true }, signal)
  } catch (error) {
    return { check, state: 'fail', found: asHatchwayError(error).message, advice: NAME_IT }
  }
  const named = chosen.by === undefined ? '' : ` (${chosen.by})`
  const others = chosen.others ?? []
  const rest = others.length === 0 ? '' : `; not used: ${others.join(', ')} (engine.endpoint or engine.cli names one)`
  const { endpoint } = opened
  try {
    return { check, state: 'ok', found: `${await told(opened, named, signal)}${rest}` }
  } catch (error) {
    const found = `${withReason(asHatchwayError(error)).message}; it would be used at ${endpoint}${named}`
    return { check, state: 'fail', found, advice: adviceOnEngine(chosen, endpoint) }
  } finally {
    await opened.close()
  }
}

/** Of a kind that is only one of several. */
async function examineKind(
  check: string,
  name: string,
  settings: EngineSettings,
  signal: AbortSignal,
): Promise<Finding> {
  try {
    const opened = await openKind({ settings, key: `engines.${name}`, signal, env: process.env })
    try {
      return { check, state: 'ok', found: await told(opened, '', signal) }
    } finally {
      await opened.close()
    }
  } catch (error) {
    const found = withReason(asHatchwayError(error)).message
    return { check, state: 'fail', found, advice: `correct engines.${name} (docs/engines.md)` }
  }
}

/** @throws HatchwayError ENGINE_* */
async function told(engine: Engine, named: string, signal: AbortSignal): Promise<string> {
  const { product, version, arch } = await engine.info(signal)
  const running = (await engine.list(signal)).filter(({ state }) => state === 'running').length
  return `${product} ${version} (${arch}) at ${engine.endpoint}${named}, ${plural(running, 'running container')}`
}
