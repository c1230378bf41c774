/** The log's lines about the engine itself: which one it is, that it went, that it came back. One line each. */
import type { Logger } from 'pino'
import { asHatchwayError, messageOf } from '../base/errors.ts'
import type { Engine, EngineEvent } from '../engine/engine.ts'
import { engineLimit } from '../engine/messages.ts'
import { withDeadline } from '../lifetime/deadline.ts'

/** How long the engine may take to answer before the log says that it does not; nobody waits for it. */
const ANSWER_MS = 20_000

export interface EngineWatch {
  /** Resolves when the engine has answered, or the log says that it has not. Never rejects. */
  begin(): Promise<void>
  heard(event: EngineEvent): void
}

/** @param advice what its owner can do about an engine that does not answer */
export function createEngineWatch(
  engine: Engine,
  advice: () => Promise<string>,
  log: Logger,
  stopped: AbortSignal,
): EngineWatch {
  /** Of the engine that the log has named last. */
  let endpoint: string | undefined
  let away = false

  async function isThere(): Promise<void> {
    if (!away && endpoint === engine.endpoint) return
    try {
      const limit = engineLimit('its version', ANSWER_MS)
      const { product, version } = await withDeadline(limit, [stopped], (signal) => engine.info(signal))
      const another = endpoint !== undefined && endpoint !== engine.endpoint
      const back = endpoint === undefined ? 'engine' : 'the engine is back'
      const msg = another ? 'another engine came up, and is used now' : back
      away = false
      endpoint = engine.endpoint
      log.info({ product, version, endpoint }, msg)
    } catch (error) {
      isAway(error)
    }
  }

  function isAway(error: unknown): void {
    if (away || stopped.aborted) return
    away = true
    const { message, cause } = asHatchwayError(error)
    const facts = { endpoint: engine.endpoint, ...(cause !== undefined && { reason: messageOf(cause) }) }
    const went = endpoint === undefined ? '' : 'the engine went away: '
    advice()
      .catch(() => undefined)
      .then((advice) => log.warn({ ...facts, advice }, `${went}sessions must wait: ${message}`))
      .catch(() => {})
  }

  return {
    begin: isThere,
    heard(event) {
      if (event.type === 'lost') isAway(event.error)
      if (event.type === 'reconnected') void isThere()
    },
  }
}
