/** Does the engine answer now? Not by `info`, which a driver may remember: by a container that is not there. */
import { undefinedIf } from '../base/errors.ts'
import type { Engine } from './engine.ts'

const NOBODY = 'hatchway-readiness'

/** @throws HatchwayError ENGINE_*, or the signal's reason */
export async function engineAnswers(engine: Pick<Engine, 'inspect' | 'parts'>, signal: AbortSignal): Promise<void> {
  const { parts } = engine
  if (parts) {
    // Of several each is asked again and again anyway. One that answers is enough: its containers can be entered.
    await parts.directory.asked(signal)
    const [away] = parts.unanswered()
    if (away && parts.unanswered().length === parts.all.length) throw away.error
    return
  }
  await engine.inspect(NOBODY, signal).catch(undefinedIf('CONTAINER_NOT_FOUND'))
}
