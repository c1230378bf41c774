/** `metrics` of the configuration. */
import { z } from 'zod'
import { localListen } from './local-listen.ts'

const listen = localListen('127.0.0.1:9464', 'from elsewhere a proxy in front, or a tunnel, asks for it')

export const metrics = z.strictObject({
  listen: listen
    .prefault('none')
    .describe(
      'Where /metrics (Prometheus), /healthz and /readyz are served: 127.0.0.1:PORT, [::1]:PORT or unix:/PATH, whose socket its user and group may open. none: nowhere, and nothing is counted. A usual place is 127.0.0.1:9464.',
    ),
})
