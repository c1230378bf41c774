/** `metrics` of the configuration. */
import { z } from 'zod'
import { parsed } from './parsed.ts'
import { parseMetricsListen } from './values.ts'

const listen = parsed(
  z.string(),
  parseMetricsListen,
  'an address of this machine alone such as 127.0.0.1:9464 or [::1]:9464, or unix:/PATH, or none; from elsewhere a proxy in front, or a tunnel, asks for it',
)

export const metrics = z.strictObject({
  listen: listen
    .prefault('none')
    .describe(
      'Where /metrics (Prometheus), /healthz and /readyz are served: 127.0.0.1:PORT, [::1]:PORT or unix:/PATH, whose socket its user and group may open. none: nowhere, and nothing is counted. A usual place is 127.0.0.1:9464.',
    ),
})
