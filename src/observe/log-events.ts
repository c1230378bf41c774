/** Events as lines of the log: each has all of its facts, so that it can be read alone. */
import { beyondLoudKeys, connectionFacts, LOUD_KEYS, placeFields, type Whose } from '../base/connection-facts.ts'
import { FAILURES, HatchwayError, messageOf } from '../base/errors.ts'
import type { ListenerSnapshot } from '../session/connection-registry.ts'
import type { SessionSnapshot } from '../session/registry.ts'
import type { EmitEvent, EventFacts } from './events.ts'
import type { Logger } from './log.ts'
import { createDropLines } from './log-drops.ts'
import type { LogLine } from './log-line.ts'

/** @param withFiles lines for what was done to files: `log.files` */
export function logEvents(log: Logger, withFiles = true): EmitEvent {
  const drop = createDropLines()
  return (event) => {
    try {
      if (event.type === 'sftp' && !withFiles) return
      const said = event.type === 'drop' ? drop(event) : line(event)
      if (!said) return
      const { level, msg, ...fields } = said
      log[level](fields, msg)
    } catch (error) {
      // A fact about a session must not end the session.
      log.error({ err: error }, 'an event could not be logged')
    }
  }
}

/** Undefined: it has no line, or whoever did it has one for its person at the terminal. */
function line(event: Exclude<EventFacts, { type: 'drop' }>): LogLine | undefined {
  switch (event.type) {
    case 'connect':
      return { level: 'debug', msg: 'connected', ...connectionFacts(event) }
    case 'penalty':
      return {
        level: event.active ? 'info' : 'debug',
        msg: event.active ? 'source refused for a while' : 'source counted',
        source: event.source,
        reason: event.misdeed,
        seconds: Math.round(event.milliseconds / 1000),
      }
    case 'channel-timeout':
      return {
        level: 'info',
        msg: 'channel closed: it was not used',
        ...connectionFacts(event, event.who),
        channel: event.channel,
        seconds: event.milliseconds / 1000,
      }
    case 'fault': {
      const { error } = event
      const whose = connectionFacts(event, event.who)
      if (!(error instanceof HatchwayError)) return { level: 'error', msg: 'a fault of ours', ...whose, err: error }
      // It says what happened, and its stack says no more.
      const { code, message: msg, cause } = error
      return {
        level: FAILURES[code].level,
        msg,
        ...whose,
        code,
        ...(cause !== undefined && { reason: messageOf(cause) }),
      }
    }
    case 'auth': {
      const { context, method, fingerprint, identity, leadsTo, accepted, partial } = event
      const fields = {
        ...connectionFacts(context),
        user: context.user,
        method,
        fingerprint,
        identity,
      }
      if (accepted) {
        const container = leadsTo !== undefined && { container: leadsTo }
        return { level: 'info', msg: 'authenticated', ...fields, ...container }
      }
      if (partial) return { level: 'info', msg: 'partly authenticated', ...fields }
      // By "none" a client asks which methods there are.
      const isQuiet = method === 'none' || (method === 'publickey' && beyondLoudKeys(context.keysRefused))
      return { level: isQuiet ? 'debug' : 'info', msg: 'not authenticated', ...fields }
    }
    case 'disconnect': {
      // The sum of what had no line of its own at info.
      const keys = event.keysRefused > LOUD_KEYS && { keys: event.keysRefused }
      return {
        level: event.authenticated || keys ? 'info' : 'debug',
        msg: 'disconnected',
        ...connectionFacts(event, event.who),
        reason: event.reason,
        ...keys,
        durationMs: event.durationMs,
      }
    }
    case 'forward-opened':
      return { level: 'info', msg: 'forward opened', ...forwardFields(event.whose, event.forward) }
    case 'forward-ended': {
      const { bytesIn, bytesOut, ...forward } = event.forward
      const amounts = { bytesIn, bytesOut, durationMs: durationOf(forward) }
      return { level: 'info', msg: 'forward ended', ...forwardFields(event.whose, forward), ...amounts }
    }
    case 'listener-opened':
      return { level: 'info', msg: 'listener opened', ...forwardFields(event.whose, event.listener) }
    case 'listener-ended': {
      const fields = { ...forwardFields(event.whose, event.listener), durationMs: durationOf(event.listener) }
      return { level: 'info', msg: 'listener ended', ...fields }
    }
    case 'sftp': {
      const { session, operation } = event
      const { name, ...facts } = operation
      const who = { ...connectionFacts(session, session.identity), session: session.id }
      const where = { ...placeFields(session.container), user: session.user }
      const protocol = session.start === 'subsystem' ? 'sftp' : 'scp'
      return { level: 'info', msg: `${protocol} ${name}`, ...who, ...where, ...facts }
    }
    case 'forward-failed': {
      const { kind, place, container, user, reason, code, error } = event
      if (kind === 'remote')
        return { level: 'info', msg: 'remote forward refused', ...of(event), err: error, bind: place }
      if (code === undefined) {
        const where = { ...(container && placeFields(container)), user, target: place }
        return { level: 'info', msg: 'forward failed', ...of(event), ...where, forward: kind, reason }
      }
      return { level: 'info', msg: 'forward refused', ...of(event), code, err: error, target: place }
    }
    case 'jump': {
      const { host, refused } = event
      if (!refused) return { level: 'info', msg: 'jump', ...of(event), host }
      return { level: 'info', msg: 'jump refused', ...of(event), code: refused.code, err: refused.cause, host }
    }
    case 'session-started': {
      const { session, road, start, command } = event
      const ran = { road, ...(start !== undefined && { start }), ...(command !== undefined && { command }) }
      return { level: 'info', msg: 'session started', ...of(event), ...inside(session), ...ran }
    }
    case 'session-ended': {
      const { session, status } = event
      return { level: 'info', msg: 'session ended', ...of(event), ...inside(session), ...status, ...amountsOf(session) }
    }
    case 'session-failed': {
      const { session, failure, ran } = event
      const { code, message: msg, cause } = failure
      const amounts = session && amountsOf(session)
      return {
        ...{ level: FAILURES[code].level, msg, ...of(event), ...(session && inside(session)) },
        ...{ code, ...ran, ...amounts, err: cause },
      }
    }
    case 'recorded': {
      const { session, record, state } = event
      return { level: 'debug', msg: 'a session is recorded', ...of(event), session, record, state }
    }
    case 'gateway-command':
      return { level: 'info', msg: 'answered by the gateway itself', ...of(event), asked: event.command }
    case 'connection-refused':
      return { level: 'warn', msg: event.message, ...of(event), code: event.code }
    case 'refused': {
      const { action, container, user, by } = event
      const { kind, ...rest } = action
      // A client sends its variables without being asked to.
      const level = kind === 'env' ? 'debug' : 'warn'
      return { level, msg: 'refused', ...of(event), action: kind, ...rest, ...placeFields(container), user, by }
    }
    case 'withdrawn': {
      const { action, container, user, by } = event
      const what = { ...placeFields(container), user, action: action.kind, by }
      return { level: 'warn', msg: 'withdrawn', ...of(event), ...what }
    }
    case 'container': {
      const { action, container, template } = event
      const made = template !== undefined && { template, image: container.image }
      return { level: 'info', msg: CONTAINER_WORDS[action], ...placeFields(container), ...made }
    }
    case 'admin': {
      const { act, by } = event
      const who = by !== undefined && { by }
      return {
        level: event.refused ? 'warn' : 'info',
        msg: 'admin page',
        act,
        ...who,
        ...(event.refused && { refused: true }),
      }
    }
    case 'killed':
    case 'reloaded':
    case 'reload-refused':
    case 'gateway-started':
    case 'gateway-released':
    case 'gateway-ended':
      return undefined
    case 'draining': {
      const { sessions, graceMs, signal } = event
      return { level: 'info', msg: 'draining', sessions, graceMs, ...(signal !== undefined && { signal }) }
    }
  }
}

const CONTAINER_WORDS = {
  accompanied: 'debug container put beside a container',
  made: 'container made',
  removed: 'container removed',
  swept: 'removed a container that was left behind',
  started: 'container started',
  unpaused: 'container unpaused',
  stopped: 'container stopped: nobody is in it any more',
} as const

function of({ whose }: { readonly whose: Whose }): Record<string, string> {
  return connectionFacts(whose, whose.identity)
}

function inside({ id, container, user }: SessionSnapshot) {
  return { session: id, ...placeFields(container), user }
}

function amountsOf({ bytesIn, bytesOut, createdAt, stoppedAt = Date.now() }: SessionSnapshot) {
  return { bytesIn, bytesOut, durationMs: stoppedAt - createdAt }
}

function forwardFields(whose: Whose, { kind, place, container, user }: ListenerSnapshot): object {
  const where = { ...placeFields(container), user, [kind === 'local' ? 'target' : 'bind']: place }
  return { ...connectionFacts(whose, whose.identity), ...where, forward: kind }
}

function durationOf({ openedAt, endedAt = openedAt }: ListenerSnapshot): number {
  return endedAt - openedAt
}
