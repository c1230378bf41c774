/** `hatchway doctor USER@CONTAINER`: how the guest helper gets into a container, and which path its bytes take. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { asHatchwayError, type FailureCode, HatchwayError } from '../base/errors.ts'
import { PROGRAM_NAME } from '../base/program-name.ts'
import type { Config } from '../config/schema.ts'
import { Containers } from '../container/containers.ts'
import { guestUserOf } from '../container/envinfo.ts'
import { stateWord } from '../container/lifecycle/start.ts'
import { parseRoute } from '../container/route.ts'
import { engineLimit } from '../engine/messages.ts'
import { openEngines } from '../engine/open.ts'
import { createGuestPool } from '../guest/pool.ts'
import { deadline } from '../lifetime/deadline.ts'
import type { Finding } from './finding.ts'

/** Every way of delivery may be tried once. */
const EXAMINE_MS = 120_000

export async function examineGuest(config: Config, login: string): Promise<Finding[]> {
  const route = parseRoute(login)
  if (!('container' in route))
    return [{ check: 'container', state: 'fail', found: login, advice: 'name one: USER@CONTAINER' }]
  const signal = deadline(engineLimit('examining the guest helper', EXAMINE_MS))
  // A folder of its own: two processes must not share a running gateway's journal and socket.
  const stateFolder = await mkdtemp(join(tmpdir(), 'hatchway-doctor-'))
  try {
    const engine = await openEngines(config, signal)
    const silent = { info() {}, warn() {} }
    const mode = config.guest === 'off' ? 'auto' : config.guest
    const mounted = config.guestMount === undefined ? {} : { mountedAt: config.guestMount }
    const pool = createGuestPool(engine, { mode, stateFolder, ...mounted }, silent)
    try {
      const containers = new Containers(engine, config.aliases)
      const container = await containers.resolve(route.container, async () => true, signal)
      if (container.state !== 'running') {
        const stopped = `container ${container.name} is ${stateWord(container.state)}`
        throw new HatchwayError('CONTAINER_NOT_RUNNING', stopped)
      }
      const info = await containers.envInfo(container, route.user, '', signal)
      const user = guestUserOf(info)
      const { way, failed, dataPath } = await pool.explain(container, user, signal)
      const tried = failed.map(({ way, reason }) => `${way} (${reason})`).join(', ')
      return [
        {
          check: 'helper in',
          state: way === undefined ? 'warn' : 'ok',
          found: `${container.name} as ${info.name}: ${way ?? 'none, the plain road'}${tried ? `; not by ${tried}` : ''}`,
          ...(way === undefined && { advice: 'docs/connecting.md says what the plain road cannot do' }),
        },
        {
          check: 'data path',
          state: 'ok',
          found: `${dataPath.direct ? 'direct' : 'exec stream'}: ${dataPath.reason}`,
        },
      ]
    } finally {
      await pool.close()
      await engine.close()
    }
  } catch (error) {
    const { code, message: found } = asHatchwayError(error)
    return [{ check: 'helper in', state: 'fail', found, advice: containerAdvice(code) }]
  } finally {
    await rm(stateFolder, { recursive: true, force: true })
  }
}

/** Of whichever engine: no command of one of them. */
export function containerAdvice(code: FailureCode): string {
  if (code.startsWith('ENGINE_') || code === 'CONFIG_INVALID') return 'see the engine check above'
  switch (code) {
    case 'CONTAINER_NOT_RUNNING':
      return 'start it; with startOnConnect: true a login does, where the engine can'
    case 'USER_NOT_FOUND':
      return `name one that its /etc/passwd has, a uid, or none: the container's own user`
    case 'USER_BROKEN':
      return `mend that line of its /etc/passwd or /etc/group`
    default:
      return `\`${PROGRAM_NAME} ls\` shows what there is`
  }
}
