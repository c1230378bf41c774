/** Does the engine answer now? Not by `info`, which a driver may remember: by a container that is not there. */
import { undefinedIf } from '../base/errors.ts'
import type { Engine } from './engine.ts'

const NOBODY = 'hatchway-readiness'

/** @throws HatchwayError ENGINE_*, or the signal's reason */
export async function engineAnswers(engine: Pick<Engine, 'inspect'>, signal: AbortSignal): Promise<void> {
  await engine.inspect(NOBODY, signal).catch(undefinedIf('CONTAINER_NOT_FOUND'))
}
