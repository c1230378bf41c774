/** What everything else stands on: the engine, and what is read from files. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { loadHostKeys } from '../auth/hostkeys.ts'
import { createLockout } from '../auth/lockout.ts'
import { createUsedSteps } from '../auth/used-steps.ts'
import { HatchwayError, messageOf } from '../base/errors.ts'
import { openInstance } from '../base/instance.ts'
import { checkLending } from '../bytes/shared-read-buffer.ts'
import type { Config, FixedConfig } from '../config/schema.ts'
import { openEngines } from '../engine/open.ts'
import { withDeadline } from '../lifetime/deadline.ts'
import type { Scope } from '../lifetime/scope.ts'
import type { Logger } from '../observe/log.ts'
import type { Watch } from '../observe/metrics/watch.ts'
import { engineNotices } from '../session/engine-watch.ts'
import { openPeople } from '../session/people.ts'

/** How long the choice of an engine may take at start; later it may come and go. */
const ENGINE_LIMIT_MS = 20_000

export type Ground = Awaited<ReturnType<typeof openGround>>

/** All at the same time: `hatchway stdio` is waited for. @throws HatchwayError CONFIG_INVALID */
export async function openGround(scope: Scope, config: Config, watching: Watch | undefined, log: Logger) {
  const opening = withDeadline(ENGINE_LIMIT_MS, [], (limit) =>
    openEngines(config, limit, { lazy: true, notice: engineNotices(log), meter: watching?.meterCall }).then((engine) =>
      scope.add(engine, () => engine.close()),
    ),
  )
  opening.catch(() => {})
  const state = join(config.keysDirectory, 'state')
  const tried = { usedSteps: createUsedSteps(join(state, 'totp')), lockout: createLockout(join(state, 'wrong-codes')) }
  const [instance, hostKeys, hostCertificates, people, banner] = await Promise.all([
    // Where it cannot be written only what is made from templates needs it.
    openInstance(state).then(
      (instance) => scope.add(instance, () => instance.close()),
      (error: unknown) => {
        if (makesContainers(config)) throw error
        log.warn({ err: error }, 'other gateways with this keysDirectory cannot tell that this one lives')
      },
    ),
    loadHostKeys(config, (sentence) => log.warn(sentence)),
    Promise.all(config.hostCertificates.map(async (file) => ({ file, bytes: await readConfigured(file) }))),
    openPeople(config, tried, log),
    config.banner === undefined ? undefined : readBanner(config.banner, log),
    checkLending().then((lends) => {
      if (!lends)
        log.warn({ node: process.version }, 'this node cannot read into a shared buffer: each byte costs more CPU')
    }),
  ])
  return { watching, engine: await opening, state, instance, hostKeys, hostCertificates, tried, people, banner }
}

export function makesContainers({ templates = {} }: FixedConfig): boolean {
  return Object.keys(templates).length > 0
}

/** @throws HatchwayError CONFIG_INVALID naming the file */
async function readConfigured(file: string): Promise<Buffer> {
  try {
    return await readFile(file)
  } catch (error) {
    throw new HatchwayError('CONFIG_INVALID', `cannot read ${file}`, { cause: error })
  }
}

/** As sshd, nobody is kept out by a banner that cannot be read (auth2.c userauth_banner). */
async function readBanner(file: string, log: Logger): Promise<string | undefined> {
  try {
    return (await readFile(file)).toString()
  } catch (error) {
    log.warn({ file, reason: messageOf(error) }, 'the banner cannot be read: none is shown')
    return undefined
  }
}
