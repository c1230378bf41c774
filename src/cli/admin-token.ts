/** `hatchway admin token`: how to sign in at the admin page of a running gateway. */
import { userInfo } from 'node:os'
import type { Config } from '../config/schema.ts'
import { CliFailure } from '../control/cli-failure.ts'
import { adminTokens } from '../control/client.ts'
import { gatewayName } from './gateway-name.ts'

/** @throws CliFailure */
export async function adminToken(
  { controlSocket }: Config,
  name = process.env.SUDO_USER || userInfo().username,
): Promise<string> {
  if (!/^[\w.@-]{1,64}$/.test(name)) throw new CliFailure('--name: expected letters, digits, and . _ @ -', 2)
  const answers = await adminTokens(controlSocket, name)
  const lines = answers.flatMap(({ token, ...gateway }) =>
    token ? [`${gatewayName(gateway)}: ${linkOf(token)}\n`] : [],
  )
  if (lines.length === 0)
    throw new CliFailure('no gateway of yours serves an admin page: admin.listen of its configuration')
  return lines.join('')
}

/** What stands behind the # is not sent to any server. */
function linkOf({ place, secret }: { readonly place?: string | undefined; readonly secret: string }): string {
  return place === undefined || place.startsWith('unix:')
    ? `${place ?? 'soon'} ${secret}`
    : `http://${place}/#${secret}`
}
