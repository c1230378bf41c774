/** `admin` of the configuration. */
import { z } from 'zod'
import { localListen } from './local-listen.ts'
import { duration } from './primitives.ts'

const listen = localListen('127.0.0.1:9465', 'from elsewhere come by a tunnel (ssh -L)')

export const admin = z.strictObject({
  listen: listen
    .prefault('none')
    .describe(
      'Where the page is served: 127.0.0.1:PORT, [::1]:PORT or unix:/PATH, whose socket its user alone may open. none: nowhere. A usual place is 127.0.0.1:9465.',
    ),
  signedIn: duration()
    .prefault('1h')
    .describe(
      'How long who has signed in with a token of `hatchway admin token` may use the page before the next one.',
    ),
})
