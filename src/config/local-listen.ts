/** Where something is served to this machine alone. */
import { z } from 'zod'
import { parsed } from './parsed.ts'
import { parseLocalPlace } from './values.ts'

/** @param usual such as 127.0.0.1:9464 */
export function localListen(usual: string, reach: string) {
  const port = usual.split(':').at(-1)
  return parsed(
    z.string(),
    parseLocalPlace,
    `an address of this machine alone such as ${usual} or [::1]:${port}, or unix:/PATH, or none; ${reach}`,
  )
}
