/** Events as records of the audit trail, each with all of its facts. Names of fields are those of the log. */
import { at as addressOf, type ContainerFacts, type ProvedName, type Whose } from '../../base/connection-facts.ts'
import { printable } from '../../base/printable.ts'
import type { GatewayEvent } from '../../observe/events.ts'
import type { SessionSnapshot } from '../../session/registry.ts'
import type { AuditAction } from './actions.ts'

/** Of a path: longer than any file system has, and enough that a client cannot fill the disk with a name. */
const MAX_PATH_CHARACTERS = 4096

export type AuditOutcome = 'ok' | 'refused' | 'failed'

export interface AuditRecord {
  readonly at: string
  readonly action: AuditAction
  readonly outcome: AuditOutcome
  readonly [field: string]: unknown
}

/** Undefined: nothing that somebody did, or was refused. A port that is opened and closed is none, and a flood of them is many. */
export function auditRecord(event: GatewayEvent): AuditRecord | undefined {
  const said = detailsOf(event)
  if (!said) return undefined
  const { action, outcome = 'ok', ...details } = said
  const { id, host, process } = event.gateway
  return { at: new Date(event.at).toISOString(), action, outcome, gateway: { id, host, process }, ...details }
}

interface Details {
  readonly action: AuditAction
  /** Absent: ok. */
  readonly outcome?: AuditOutcome
  readonly [field: string]: unknown
}

function detailsOf(event: GatewayEvent): Details | undefined {
  switch (event.type) {
    case 'connect':
    case 'drop':
    case 'channel-timeout':
      return undefined
    case 'penalty':
      if (!event.active) return undefined
      return { action: 'source-refused', source: event.source, reason: event.misdeed, durationMs: event.milliseconds }
    case 'fault': {
      const { error } = event
      const reason = error instanceof Error ? printable(error.message).slice(0, MAX_PATH_CHARACTERS) : 'unknown'
      return { action: 'fault', outcome: 'failed', ...connectionOf(event), ...(event.who && who(event.who)), reason }
    }
    case 'auth': {
      const { context, accepted, partial, reason, leadsTo, fingerprint } = event
      return {
        ...{ action: 'login', outcome: accepted || partial ? 'ok' : 'refused', ...(partial && { partial }) },
        ...{ ...connectionOf(context), login: context.user, ...(context.host !== undefined && { host: context.host }) },
        ...{
          ...(event.who && who(event.who)),
          method: event.method,
          ...(fingerprint !== undefined && { fingerprint }),
        },
        ...{ ...(reason !== undefined && { reason: printable(reason) }), ...(leadsTo !== undefined && { leadsTo }) },
      }
    }
    case 'disconnect': {
      const { authenticated, reason, durationMs } = event
      if (!authenticated) return undefined
      return { action: 'logout', ...connectionOf(event), ...(event.who && who(event.who)), reason, durationMs }
    }
    case 'connection-refused':
      return { action: 'connection', outcome: 'refused', ...whose(event), code: event.code, reason: event.message }
    case 'gateway-command':
      return { action: 'gateway-command', ...whose(event), command: event.command }
    case 'session-started': {
      const { session, road, start, command } = event
      const ran = { kind: start ?? session.start, ...(command !== undefined && { command }), tty: session.tty, road }
      return { action: 'session-start', ...whose(event), ...inside(event, session), session: session.id, ...ran }
    }
    case 'recorded': {
      const { session, record, state, sha256 } = event
      return { action: 'session-recorded', ...whose(event), ...inside(event, event), session, record, state, sha256 }
    }
    case 'session-ended': {
      const { session, status } = event
      const about = { ...whose(event), ...inside(event, session), session: session.id, kind: session.start }
      return { action: 'session-end', ...about, exit: status, ...amounts(session) }
    }
    case 'session-failed': {
      const { session, failure, ran } = event
      const { start, ...command } = ran
      const about = session && {
        ...inside(event, session),
        session: session.id,
        kind: session.start,
        ...amounts(session),
      }
      const isRefused = session?.runningAt === undefined && failure.code === 'NOT_PERMITTED'
      return {
        ...{ action: 'session-end', outcome: isRefused ? 'refused' : 'failed', ...whose(event), ...about },
        ...{ ...(start !== undefined && { kind: start }), ...command, code: failure.code, reason: failure.message },
      }
    }
    case 'sftp': {
      const { session, operation } = event
      const { name, result, ...facts } = operation
      const about = { ...whose(event), ...inside(event, session), session: session.id }
      const isDone = result === 'OK' || result === 'EOF'
      const said = Object.entries(facts).map(([key, value]) => [key, typeof value === 'string' ? pathOf(value) : value])
      return {
        action: 'file',
        outcome: isDone ? 'ok' : 'failed',
        ...about,
        protocol: session.start === 'subsystem' ? 'sftp' : 'scp',
        operation: name,
        ...Object.fromEntries(said),
        result,
      }
    }
    case 'forward-opened':
    case 'forward-ended': {
      const { kind, place, bytesIn, bytesOut } = event.forward
      const about = { ...whose(event), ...inside(event, event.forward), forward: kind, place }
      if (event.type === 'forward-opened') return { action: 'forward-start', ...about }
      return { action: 'forward-end', ...about, bytesIn, bytesOut, durationMs: durationOf(event.forward) }
    }
    case 'listener-opened':
    case 'listener-ended': {
      const { kind, place } = event.listener
      const about = { ...whose(event), ...inside(event, event.listener), forward: kind, place }
      if (event.type === 'listener-opened') return { action: 'listener-start', ...about }
      return { action: 'listener-end', ...about, durationMs: durationOf(event.listener) }
    }
    case 'forward-failed': {
      const { kind, place, container, user, code, reason } = event
      const outcome = code === 'NOT_PERMITTED' ? 'refused' : 'failed'
      const where = container && { container: containerOf(event, container), user }
      return {
        action: 'forward-start',
        outcome,
        ...whose(event),
        ...where,
        forward: kind,
        place,
        code,
        reason: printable(reason),
      }
    }
    case 'jump': {
      const { host, refused } = event
      const why = refused && { outcome: 'refused' as const, code: refused.code, reason: refused.message }
      return { action: 'jump', ...whose(event), to: host, ...why }
    }
    case 'refused':
    case 'withdrawn': {
      const { container, user, action, by } = event
      const { kind, ...rest } = action
      const about = { ...whose(event), container: containerOf(event, container), user }
      return {
        action: 'policy',
        outcome: 'refused',
        ...about,
        asked: kind,
        ...rest,
        rule: by,
        ...(event.type === 'withdrawn' && { withdrawn: true }),
      }
    }
    case 'container': {
      const { container, template } = event
      const about = { ...(event.whose && whose({ whose: event.whose })), container: containerOf(event, container) }
      return { action: `container-${event.action}`, ...about, ...(template !== undefined && { template }) }
    }
    case 'killed': {
      const { container, user } = event
      const where = {
        ...(container && { container: containerOf(event, container) }),
        ...(user !== undefined && { user }),
      }
      return {
        action: 'kill',
        ...whose(event),
        ...where,
        ...(event.what === 'session' && { session: event.sessionId }),
        ...(event.by !== undefined && { by: event.by }),
      }
    }
    case 'admin': {
      const { act, by } = event
      return { action: `admin-${act}`, ...(event.refused && { outcome: 'refused' }), ...(by !== undefined && { by }) }
    }
    case 'reloaded': {
      const { keys, ended, restart } = event
      return { action: 'reload', keys, ended, restart }
    }
    case 'reload-refused':
      return { action: 'reload', outcome: 'refused', problems: event.problems.map((text) => printable(text)) }
    case 'gateway-started':
      return { action: 'gateway-start', pid: event.pid, listen: event.listen.map(addressOf) }
    case 'gateway-released':
      return { action: 'gateway-release', connections: event.connections }
    case 'draining': {
      const { sessions, graceMs, signal } = event
      return { action: 'gateway-drain', sessions, graceMs, signal }
    }
    case 'gateway-ended':
      return { action: 'gateway-end' }
  }
}

function connectionOf({ connectionId, remote }: Pick<Whose, 'connectionId' | 'remote'>) {
  return { connection: connectionId, remote: addressOf(remote) }
}

function who({ name, fingerprint, method, source, certificate }: ProvedName) {
  return {
    ...{ identity: name, ...(method !== undefined && { method }) },
    ...(fingerprint !== '' && { fingerprint }),
    ...(certificate && {
      certificate: { serial: certificate.serial, keyId: certificate.keyId, authority: certificate.authority },
    }),
    ...(source !== undefined && { source }),
  }
}

function whose({ whose: { login, host, identity, ...origin } }: { readonly whose: Whose }) {
  return { ...connectionOf(origin), login, ...(host !== undefined && { host }), ...who(identity) }
}

function inside(
  event: GatewayEvent,
  { container, user }: { readonly container: ContainerFacts; readonly user: string },
) {
  return { container: containerOf(event, container), user }
}

function containerOf({ engine: used }: GatewayEvent, { id, name, image, engine = used }: ContainerFacts) {
  return { id, name, ...(image !== undefined && { image }), engine }
}

function amounts({ bytesIn, bytesOut, createdAt, stoppedAt = Date.now() }: SessionSnapshot) {
  return { bytesIn, bytesOut, durationMs: stoppedAt - createdAt }
}

function durationOf({
  openedAt,
  endedAt = openedAt,
}: {
  readonly openedAt: number
  readonly endedAt?: number
}): number {
  return endedAt - openedAt
}

function pathOf(path: string): string {
  return path.length > MAX_PATH_CHARACTERS ? `${path.slice(0, MAX_PATH_CHARACTERS)}...` : path
}
