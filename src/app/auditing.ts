/** What audits the gateway: the trail, whose failure may end what runs. */
import { part } from '../base/parts.ts'
import type { FixedConfig } from '../config/schema.ts'
import type { Audit } from '../evidence/audit/audit.ts'
import type { Scope } from '../lifetime/scope.ts'
import type { Logger } from '../observe/log.ts'
import type { ConnectionRegistry } from '../session/connection-registry.ts'

/** Loaded only where it is asked for. */
const loadAudit = part(() => import('../evidence/audit/audit.ts'))

const UNRECORDED = 'ended: the audit trail cannot be written'

/** @throws HatchwayError CONFIG_INVALID */
export async function openAuditing(
  scope: Scope,
  { audit, keysDirectory }: FixedConfig,
  connections: () => ConnectionRegistry,
  log: Logger,
): Promise<Audit | undefined> {
  const { file } = audit
  if (file === undefined) return undefined
  const endAll = (spared: (name: string) => boolean) => {
    for (const { connectionId, identity } of connections().list())
      if (!spared(identity.name)) connections().kill(connectionId, UNRECORDED)
  }
  const { openAudit } = await loadAudit()
  return scope.add(await openAudit({ ...audit, file }, keysDirectory, endAll, log), (opened) => opened.close())
}
