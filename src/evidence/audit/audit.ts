/** The audit trail of a gateway: it reads the stream of events, and says whether what somebody is about to do can be recorded. */
import type { Logger } from 'pino'
import { HatchwayError } from '../../base/errors.ts'
import type { Config } from '../../config/schema.ts'
import { withDeadline } from '../../lifetime/deadline.ts'
import { unlessAborted } from '../../lifetime/on-abort.ts'
import type { EventReader, GatewayEvent } from '../../observe/events.ts'
import { createAnchor } from './anchor.ts'
import { auditRecord } from './record.ts'
import { openSigningKey } from './signing-key.ts'
import { openTrail, type Trail } from './trail.ts'

/** For the last head to arrive elsewhere. */
const ANCHOR_MS = 1_000

export interface Audit {
  readonly read: EventReader
  /** @throws HatchwayError AUDIT_UNAVAILABLE: it must be recorded, and cannot be */
  demandRecord(identity: { readonly name: string }): void
  /** @throws Error saying why nothing can be written now */
  check(): void
  /** How far behind it is, for who measures. */
  lag(): Pick<Trail, 'waitingBytes' | 'lostRecords'>
  close(): Promise<void>
}

export type AuditSettings = Config['audit'] & { readonly file: string }

/**
 * @param endAll is called when nothing can be written and what runs must end: all but of whom the function says true
 * @throws HatchwayError CONFIG_INVALID
 */
export async function openAudit(
  settings: AuditSettings,
  keysDirectory: string,
  endAll: (spared: (name: string) => boolean) => void,
  log: Logger,
): Promise<Audit> {
  const { onFailure, endRunning, breakGlass } = settings
  const mustKeep = (name: string) => breakGlass.includes(name)
  const anchor = createAnchor(settings, log)
  const key = await openSigningKey(keysDirectory)
  let isOpen = false
  const trail: Trail = await openTrail(settings, {
    key,
    log,
    anchor: anchor.give,
    changed: (failing) => {
      if (isOpen && failing !== undefined && onFailure === 'refuse' && endRunning) endAll(mustKeep)
    },
  })
  isOpen = true
  log.info({ file: trail.file, key: key.fingerprint }, 'the audit trail is written')
  return {
    read(event) {
      const record = auditRecord(event)
      if (record) trail.add(record, mustKeep(nameOf(event)))
    },
    demandRecord({ name }) {
      if (onFailure !== 'refuse' || trail.failing === undefined || mustKeep(name)) return
      throw new HatchwayError(
        'AUDIT_UNAVAILABLE',
        'nothing may go unrecorded, and the audit trail cannot be written: the gateway’s log says why',
        { cause: new Error(trail.failing) },
      )
    },
    check() {
      if (trail.failing !== undefined) throw new Error(`the audit trail cannot be written: ${trail.failing}`)
    },
    lag: () => trail,
    async close() {
      await trail.close()
      await withDeadline(ANCHOR_MS, [], (signal) => unlessAborted(anchor.settled(), signal)).catch(() => undefined)
    },
  }
}

function nameOf(event: GatewayEvent): string {
  if ('whose' in event) return event.whose?.identity.name ?? ''
  return ('who' in event ? event.who?.name : undefined) ?? ''
}
