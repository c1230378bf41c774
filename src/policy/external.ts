/**
 * External authorization: a webhook or a command, asked after the key, the labels and the rules said yes. It fails
 * closed: no answer in time, too long an answer or one that is not understood is a no. There are no retries.
 */

import { createHash } from 'node:crypto'
import type { Logger } from 'pino'
import { connectionFacts, placeFields } from '../base/connection-facts.ts'
import { printable } from '../base/printable.ts'
import { type EngineNaming, endpointOf } from '../engine/engine.ts'
import { BoundedMap } from '../lifetime/bounded-map.ts'
import { withDeadline } from '../lifetime/deadline.ts'
import { byRules } from './by-rules.ts'
import { answerSchema, type ExternalAnswer, type ExternalQuestion } from './external-schema.ts'
import { refusalSentence } from './messages.ts'
import type { Decision, Origin, Request } from './request.ts'
import { compileRules, type RuleTable } from './rules.ts'
import { createTurns } from './turns.ts'

/** One question, asked once: the answer's JSON. Rejects when there is none. */
export type Ask = (question: string, signal: AbortSignal) => Promise<string>

export interface ExternalSettings {
  /** "webhook" or "command", for the log. */
  readonly name: string
  readonly ask: Ask
  readonly timeout: number
  readonly acceptEnv: readonly string[]
  readonly engine: EngineNaming
}

export type External = (request: Request) => Promise<Decision>

/** Questions of one connection whose answers are remembered; a client chooses how many there are. */
const MAX_ANSWERS = 500
/** A command may have 256 KB, and labels are their maker's. */
const MAX_QUESTION_CHARACTERS = 1024 * 1024
/** After a failure everything is refused that long without asking: a list of containers must not wait for each. */
const FAILURE_HOLDS_MS = 2_000

type Verdict = Exclude<ExternalAnswer, { rules: unknown }> | { readonly failed: true } | { readonly table: RuleTable }

interface Remembered {
  readonly verdict: Promise<Verdict>
  until: number
}

interface Memory {
  readonly answers: BoundedMap<string, Remembered>
  /** A table of rules, or a failure: for whatever the connection asks. */
  whole?: { readonly verdict: Verdict; readonly until: number }
}

export function createExternal(settings: ExternalSettings, log: Logger): External {
  const { name, acceptEnv, engine } = settings
  // An origin is one connection's: what was answered to it is forgotten with it.
  const memories = new WeakMap<Origin, Memory>()
  const inTurn = createTurns()

  async function verdictOn(request: Request): Promise<Verdict> {
    const memory: Memory = memories.get(request.origin) ?? { answers: new BoundedMap(MAX_ANSWERS) }
    memories.set(request.origin, memory)
    const whole = inForce(memory)
    if (whole) return whole
    const now = Date.now()
    const question = questionOf(request, engine)
    const key = createHash('sha256').update(JSON.stringify(question)).digest('base64')
    const known = memory.answers.get(key)
    if (known && known.until > now) return known.verdict
    const asked: Remembered = { verdict: answerTo(question, request, memory), until: Number.POSITIVE_INFINITY }
    memory.answers.set(key, asked)
    const verdict = await asked.verdict
    if ('ttl' in verdict && verdict.ttl !== undefined) asked.until = Date.now() + verdict.ttl * 1000
    if ('failed' in verdict || 'table' in verdict) memory.answers.delete(key)
    return verdict
  }

  async function ask(question: Omit<ExternalQuestion, 'time'>, memory: Memory): Promise<Verdict> {
    // What was answered while it waited may be for whatever the connection asks.
    const whole = inForce(memory)
    if (whole) return whole
    const asked = JSON.stringify({ ...question, time: new Date().toISOString() })
    if (asked.length > MAX_QUESTION_CHARACTERS)
      throw new Error(`a question of more than ${MAX_QUESTION_CHARACTERS} characters`)
    const text = await withDeadline(settings.timeout, [], (limit) => settings.ask(asked, limit))
    const answer = answerSchema.parse(JSON.parse(text))
    if (!('rules' in answer)) return answer
    const verdict = { table: compileRules(answer.rules, acceptEnv, engine) }
    const until = answer.ttl === undefined ? Number.POSITIVE_INFINITY : Date.now() + answer.ttl * 1000
    memory.whole = { verdict, until }
    return verdict
  }

  async function answerTo(
    question: Omit<ExternalQuestion, 'time'>,
    request: Request,
    memory: Memory,
  ): Promise<Verdict> {
    try {
      return await inTurn(request.identity.name, () => ask(question, memory))
    } catch (error) {
      // One line for all that was asked at once.
      const known = inForce(memory)
      if (known && 'failed' in known) return known
      const { identity, origin, container, action } = request
      const facts = { ...connectionFacts(origin, identity), ...placeFields(container) }
      log.error({ ...facts, action: action.kind, err: brief(error) }, `the ${name} for authorization failed: refused`)
      memory.whole = { verdict: { failed: true }, until: Date.now() + FAILURE_HOLDS_MS }
      return { failed: true }
    }
  }

  return async (request) => {
    const verdict = await verdictOn(request)
    if ('failed' in verdict) {
      return { allowed: false, by: `${name} (failed)`, reason: 'it cannot be decided now whether this is permitted' }
    }
    if ('table' in verdict) return prefixed(byRules(verdict.table, request, new Date()), name)
    if (verdict.allow) return { allowed: true, by: name, readOnly: verdict.readOnly === true }
    const message = verdict.message === undefined ? undefined : printable(verdict.message)
    return { allowed: false, by: name, reason: refusalSentence(request, message) }
  }
}

function inForce({ whole }: Memory): Verdict | undefined {
  return whole && whole.until > Date.now() ? whole.verdict : undefined
}

function prefixed(decision: Decision, name: string): Decision {
  return { ...decision, by: `${name}: ${decision.by}` }
}

/** Without the time: the same question has the same words. */
function questionOf(
  { identity, origin, container, user, action }: Request,
  engine: EngineNaming,
): Omit<ExternalQuestion, 'time'> {
  const { name, method, fingerprint, groups, principals, source } = identity
  const { id, name: containerName, image, labels } = container
  return {
    version: 1,
    identity: { name, method, fingerprint, groups: [...groups], principals: [...principals], source },
    connection: {
      id: origin.connectionId,
      login: origin.login,
      remote: { address: origin.remote.address, port: origin.remote.port },
    },
    container: {
      ...{ id, name: containerName, image, labels: { ...labels } },
      ...(container.engine !== undefined && { engine: container.engine }),
    },
    engine: endpointOf(engine, container),
    ...(user && { user: { name: user.name, uid: user.uid, gid: user.gid } }),
    action: action.kind === 'exec' ? { kind: 'exec', command: action.command.toString() } : { ...action },
  }
}

/** An answer that is not understood is the other side's text, as long as it likes. */
function brief(error: unknown): string {
  const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error)
  return printable(text.replaceAll(/\s+/g, ' ').slice(0, 500))
}
