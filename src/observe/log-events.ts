/** Events as lines of the log. Sessions are not here: session/serve.ts logs those, with their causes. */
import { beyondLoudKeys, connectionFacts, LOUD_KEYS } from '../base/connection-facts.ts'
import { FAILURES, HatchwayError, messageOf } from '../base/errors.ts'
import type { ListenerSnapshot, LoginFacts } from '../session/connection-registry.ts'
import type { EventReader, GatewayEvent } from './events.ts'
import type { Logger } from './log.ts'
import { createDropLines } from './log-drops.ts'
import type { LogLine } from './log-line.ts'

export function logEvents(log: Logger): EventReader {
  const drop = createDropLines()
  return (event) => {
    try {
      const { level, msg, ...fields } = event.type === 'drop' ? drop(event) : line(event)
      log[level](fields, msg)
    } catch (error) {
      // A fact about a session must not end the session.
      log.error({ err: error }, 'an event could not be logged')
    }
  }
}

function line(event: Exclude<GatewayEvent, { type: 'drop' }>): LogLine {
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
      return { level: 'info', msg: 'forward opened', ...forwardFields(event.connection, event.forward) }
    case 'forward-ended': {
      const { bytesIn, bytesOut, ...forward } = event.forward
      const amounts = { bytesIn, bytesOut, durationMs: durationOf(forward) }
      return { level: 'info', msg: 'forward ended', ...forwardFields(event.connection, forward), ...amounts }
    }
    case 'listener-opened':
      return { level: 'info', msg: 'listener opened', ...forwardFields(event.connection, event.listener) }
    case 'listener-ended': {
      const fields = { ...forwardFields(event.connection, event.listener), durationMs: durationOf(event.listener) }
      return { level: 'info', msg: 'listener ended', ...fields }
    }
    case 'sftp': {
      const { session, operation } = event
      const { name, ...facts } = operation
      const who = { ...connectionFacts(session, session.identity), session: session.id }
      const where = { container: session.container.name, user: session.user }
      return { level: 'info', msg: `sftp ${name}`, ...who, ...where, ...facts }
    }
    case 'draining': {
      const { sessions, graceMs, signal } = event
      return { level: 'info', msg: 'draining', sessions, graceMs, signal }
    }
  }
}

function forwardFields(connection: LoginFacts, { kind, place, container, user }: ListenerSnapshot): object {
  const where = { container: container.name, user, [kind === 'local' ? 'target' : 'bind']: place }
  return { ...connectionFacts(connection, connection.identity), ...where, forward: kind }
}

function durationOf({ openedAt, endedAt = openedAt }: ListenerSnapshot): number {
  return endedAt - openedAt
}
