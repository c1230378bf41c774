/** The log's lines about the engines themselves: which they are, that one went, that it came back. One line each. */
import type { Logger } from 'pino'
import { asHatchwayError, messageOf } from '../base/errors.ts'
import { type Engine, type EngineEvent, enginesOf } from '../engine/engine.ts'
import type { PartNotice } from '../engine/many/part.ts'
import { engineLimit } from '../engine/messages.ts'
import { withDeadline } from '../lifetime/deadline.ts'

/** How long the engine may take to answer before the log says that it does not; nobody waits for it. */
const ANSWER_MS = 20_000

export interface EngineWatch {
  /** Resolves when the engine has answered, or the log says that it has not. Never rejects. */
  begin(): Promise<void>
  heard(event: EngineEvent): void
}

type Advice = (engine: Engine) => Promise<string>

/**
 * Of one engine, or of each of several.
 * @param advice what its owner can do about an engine that does not answer
 */
export function createEngineWatch(engine: Engine, advice: Advice, log: Logger, stopped: AbortSignal): EngineWatch {
  const watches = enginesOf(engine).map((one) => {
    const own = one.name === undefined ? log : log.child({ engine: one.name })
    return { name: one.name, watch: watchOne(one, () => advice(one), own, stopped) }
  })
  return {
    async begin() {
      await Promise.all(watches.map(({ watch }) => watch.begin()))
    },
    heard(event) {
      if (event.type === 'container') return
      for (const { name, watch } of watches) if (name === event.engine) watch.heard(event)
    },
  }
}

/** What only shows among several. */
export function engineNotices(log: Logger): (notice: PartNotice) => void {
  return (notice) => {
    const { engine } = notice
    switch (notice.type) {
      case 'silent':
        return log.warn({ engine, reason: notice.error.message }, 'an engine does not tell of its containers')
      case 'answers':
        return log.info({ engine }, 'the engine tells of its containers again')
      case 'same-daemon':
        return log.warn({ engine, as: notice.as }, 'two engines are one: its containers are those of the other')
      case 'unproved':
        return log.warn(
          { engine, as: notice.as, reason: notice.error.message },
          'two engines may be one: until it is known, a name that both have leads nowhere',
        )
      case 'other-daemon':
        return log.info({ engine }, 'the engine is one of its own now')
    }
  }
}

function watchOne(engine: Engine, advice: () => Promise<string>, log: Logger, stopped: AbortSignal): EngineWatch {
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
