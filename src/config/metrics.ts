/** `metrics` of the configuration. */
import { z } from 'zod'
import { parsed } from './parsed.ts'
import { parseMetricsListen } from './values.ts'

const listen = parsed(
  z.string(),
  parseMetricsListen,
  'an address of this machine alone such as 127.0.0.1:9464 or [::1]:9464, or unix:/PATH; from elsewhere a proxy in front, or a tunnel, asks for it',
)

export const metrics = z.strictObject({
  listen: listen.optional().meta({
    description:
      'Where /metrics (Prometheus), /healthz and /readyz are served: 127.0.0.1:PORT, [::1]:PORT or unix:/PATH, whose socket its user and group may open. Absent: nowhere, and nothing is counted.',
    examples: ['127.0.0.1:9464'],
  }),
})
