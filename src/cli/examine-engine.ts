/** `hatchway doctor`: the engine that a gateway with this configuration uses, what named it, and whether it answers. */
import { accessSync, constants, existsSync, statSync } from 'node:fs'
import { asHatchwayError } from '../base/errors.ts'
import { plural } from '../base/plural.ts'
import type { Config } from '../config/schema.ts'
import { type ChosenEngine, chooseEngine, formatAddress, openEngine } from '../engine/choose.ts'
import { engineLimit } from '../engine/messages.ts'
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
    const advice = 'put engine.endpoint, DOCKER_HOST or the docker context right'
    return [{ check, state: 'fail', found: asHatchwayError(error).message, advice }]
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
    const found = `${asHatchwayError(error).message}; it would be used at ${endpoint}${named}`
    return [{ check, state: 'fail', found, advice: engineAdvice(chosen, endpoint) }]
  } finally {
    await opened.close()
  }
}

function engineAdvice(chosen: ChosenEngine, endpoint: string): string {
  if (chosen.kind === 'cli' && !endpoint.startsWith('unix://'))
    return `install ${chosen.binary}, and see that \`${chosen.binary} ps\` works by itself`
  if (chosen.kind === 'api' && chosen.address.kind === 'tcp')
    return `see that the engine listens at ${formatAddress(chosen.address)} and that this machine may reach it`
  const path =
    chosen.kind === 'api' && 'path' in chosen.address ? chosen.address.path : endpoint.slice('unix://'.length)
  if (!existsSync(path)) return `no socket at ${path}: install and start Docker or Podman, or set engine.endpoint`
  try {
    accessSync(path, constants.R_OK | constants.W_OK)
    return `${path} is there but nobody answers: is the engine running? (systemctl status docker)`
  } catch {
    const { gid } = statSync(path)
    return `you may not open ${path}: join the group that owns it (gid ${gid}, usermod -aG) and log in again`
  }
}
