/** `hatchway doctor`: the engine that a gateway with this configuration uses, what named it, and whether it answers. */
import { asHatchwayError } from '../base/errors.ts'
import { plural } from '../base/plural.ts'
import type { Config } from '../config/schema.ts'
import { adviceOnEngine, NAME_IT } from '../engine/advice.ts'
import { type ChosenEngine, chooseEngine, openEngine } from '../engine/choose.ts'
import { engineLimit, withReason } from '../engine/messages.ts'
import { deadline } from '../lifetime/deadline.ts'
import type { Finding } from './finding.ts'

const ENGINE_MS = 20_000
const check = 'engine'

export async function examineEngine({ engine: settings }: Pick<Config, 'engine'>): Promise<Finding[]> {
  const signal = deadline(engineLimit('listing containers', ENGINE_MS))
  let chosen: ChosenEngine
  try {
    chosen = await chooseEngine(settings)
  } catch (error) {
    return [{ check, state: 'fail', found: asHatchwayError(error).message, advice: NAME_IT }]
  }
  const named = chosen.by === undefined ? '' : ` (${chosen.by})`
  // As a start does it, which does not insist on an answer, and may then fall back to another way.
  const opened = await openEngine({ ...settings, lazy: true }, signal)
  const { endpoint } = opened
  try {
    const { product, version, arch } = await opened.info(signal)
    const running = (await opened.list(signal)).filter(({ state }) => state === 'running').length
    const found = `${product} ${version} (${arch}) at ${endpoint}${named}, ${plural(running, 'running container')}`
    const others = chosen.others ?? []
    const rest = others.length === 0 ? '' : `; not used: ${others.join(', ')} (engine.endpoint or engine.cli names one)`
    return [{ check, state: 'ok', found: `${found}${rest}` }]
  } catch (error) {
    const found = `${withReason(asHatchwayError(error)).message}; it would be used at ${endpoint}${named}`
    return [{ check, state: 'fail', found, advice: adviceOnEngine(chosen, endpoint) }]
  } finally {
    await opened.close()
  }
}
