/** Events as lines of the log. Sessions are not here: session/serve.ts logs those, with their causes. */
import { FAILURES, HatchwayError, messageOf } from '../base/errors.ts'
import type { EventReader, GatewayEvent } from './events.ts'
import type { Logger } from './log.ts'
import { createDropLines } from './log-drops.ts'
import { at, type LogLine } from './log-line.ts'

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
      return { level: 'debug', msg: 'connected', connection: event.connectionId, remote: at(event.remote) }
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
        connection: event.connectionId,
        channel: event.channel,
        seconds: event.milliseconds / 1000,
      }
    case 'fault': {
      const { connectionId: connection, error } = event
      if (!(error instanceof HatchwayError)) return { level: 'error', msg: 'a fault of ours', connection, err: error }
      // It says what happened, and its stack says no more.
      const { code, message: msg, cause } = error
      return {
        level: FAILURES[code].level,
        msg,
        connection,
        code,
        ...(cause !== undefined && { reason: messageOf(cause) }),
      }
    }
    case 'auth': {
      const { context, method, fingerprint, identity, accepted, partial } = event
      const fields = {
        connection: context.connectionId,
        user: context.user,
        remote: at(context.remote),
        method,
        fingerprint,
        identity,
      }
      if (accepted) return { level: 'info', msg: 'authenticated', ...fields }
      if (partial) return { level: 'info', msg: 'partly authenticated', ...fields }
      // A client tries its keys one after the other: that is no news. Somebody's wrong password is.
      const news = method === 'password' || method.startsWith('keyboard-interactive')
      return { level: news ? 'info' : 'debug', msg: 'not authenticated', ...fields }
    }
    case 'disconnect':
      return {
        level: event.authenticated ? 'info' : 'debug',
        msg: 'disconnected',
        connection: event.connectionId,
        reason: event.reason,
      }
    case 'sftp': {
      const { session, operation } = event
      const { name, ...facts } = operation
      const who = { connection: session.connectionId, identity: session.identity.name, session: session.id }
      const where = { container: session.container.name, user: session.user }
      return { level: 'info', msg: `sftp ${name}`, ...who, ...where, ...facts }
    }
    case 'draining':
      return { level: 'info', msg: 'draining', sessions: event.sessions }
  }
}
