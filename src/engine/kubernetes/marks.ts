/** Marks as Leases (coordination.k8s.io), which are for this; the gateway may need no other kind of object. */
import { z } from 'zod'
import type { Marks } from '../engine.ts'
import { MARK_LABEL, MARK_NAME } from '../mark-names.ts'
import { MANAGED_BY } from './made-pod.ts'
import { isRefusal, type KubeRest } from './rest.ts'

const PART = 500

const leases = z.object({
  metadata: z.object({ continue: z.string().nullish() }).nullish(),
  items: z.array(z.object({ metadata: z.object({ name: z.string() }) })).nullish(),
})

/** @param failure what the API server refuses, as a sentence */
export function createLeaseMarks(rest: KubeRest, namespace: string, failure: (error: unknown) => unknown): Marks {
  const path = `/apis/coordination.k8s.io/v1/namespaces/${encodeURIComponent(namespace)}/leases`

  async function call(method: string, where: string, signal: AbortSignal, body?: object, fine?: number) {
    return rest.json(method, where, signal, body).catch((error: unknown) => {
      if (fine !== undefined && isRefusal(error, fine)) return undefined
      throw failure(error)
    })
  }

  return {
    async put(name, signal) {
      const metadata = { name, labels: { ...MANAGED_BY, [MARK_LABEL]: 'yes' } }
      const lease = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata, spec: {} }
      await call('POST', path, signal, lease, 409)
    },
    async list(signal) {
      const names: string[] = []
      let more = ''
      do {
        const query = new URLSearchParams({
          labelSelector: MARK_LABEL,
          limit: String(PART),
          ...(more && { continue: more }),
        })
        const { metadata, items } = leases.parse(await call('GET', `${path}?${query}`, signal))
        for (const { metadata: lease } of items ?? []) if (MARK_NAME.test(lease.name)) names.push(lease.name)
        more = metadata?.continue ?? ''
      } while (more !== '')
      return names
    },
    async drop(name, signal) {
      await call('DELETE', `${path}/${encodeURIComponent(name)}`, signal, undefined, 404)
    },
  }
}
