/** What a record says of its session, in the words of its manifest. */
import { constants } from 'node:os'
import { containerFacts } from '../../base/connection-facts.ts'
import { printable } from '../../base/printable.ts'
import type { RecordingStart } from '../../session/recording.ts'
import type { SessionEnd } from '../../session/registry.ts'
import type { Manifest, Started } from './manifest.ts'

export function startedFacts(
  id: string,
  startedAt: number,
  { whose, session, terms, command }: RecordingStart,
  gateway: Started['gateway'],
): Started {
  const { name, fingerprint, method, source, certificate } = whose.identity
  const { address, port } = whose.remote
  const shown = command ?? session.command
  return {
    format: 1,
    id,
    session: session.id,
    connection: whose.connectionId,
    gateway,
    identity: {
      ...{ name, fingerprint },
      ...(method !== undefined && { method }),
      ...(source !== undefined && { source }),
      ...(certificate && { certificate }),
    },
    remote: { address, port },
    login: whose.login,
    ...(whose.host !== undefined && { host: whose.host }),
    container: containerFacts(session.container),
    user: session.user,
    start: session.start,
    ...(shown !== undefined && { command: printable(shown) }),
    tty: session.tty,
    mode: terms.mode,
    of: [...terms.of],
    startedAt: new Date(startedAt).toISOString(),
  }
}

export function outcomeOf(end: SessionEnd): Manifest['outcome'] {
  if ('failure' in end) return { failure: end.failure, message: end.message }
  return 'code' in end ? { code: end.code } : { signal: end.signal }
}

/** As a shell has it. */
export function exitCode(end: SessionEnd | undefined): number {
  if (!end || 'failure' in end) return 255
  if ('code' in end) return end.code
  const name = `SIG${end.signal}`
  const [, number = 127] = Object.entries(constants.signals).find(([known]) => known === name) ?? []
  return 128 + number
}
