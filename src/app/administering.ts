/** The operator's page, where it is asked for. */
import type { Admin, Administered } from '../admin/admin.ts'
import { part } from '../base/parts.ts'
import type { FixedConfig } from '../config/schema.ts'
import type { Scope } from '../lifetime/scope.ts'
import type { Logger } from '../observe/log.ts'

/** Loaded only where it is asked for. */
const loadAdmin = part(() => import('../admin/admin.ts'))

/** @throws HatchwayError CONFIG_INVALID */
export async function openAdministering(
  scope: Scope,
  { admin: { listen, signedIn } }: FixedConfig,
  gateway: Administered,
  takesOver: boolean | undefined,
  log: Logger,
): Promise<Admin | undefined> {
  if (listen.kind === 'none') return undefined
  const { openAdmin } = await loadAdmin()
  return scope.add(await openAdmin({ listen, signedIn }, gateway, takesOver === true, log), (admin) => admin.leave())
}
