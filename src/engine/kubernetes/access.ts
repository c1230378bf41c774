/**
 * In which namespaces the gateway may run programs. Where it may not, there is nothing to log in to: those pods do not exist
 * for it. Asked of the API server, who lets every account ask about itself (SelfSubjectAccessReview).
 */
import { z } from 'zod'
import { messageOf } from '../../base/errors.ts'
import { BoundedMap } from '../../lifetime/bounded-map.ts'
import type { KubeRest } from './rest.ts'

const HOLDS_MS = 30_000
const MAX_NAMESPACES = 10_000

const review = z.object({ status: z.object({ allowed: z.boolean() }) })

export interface ExecAccess {
  /** @throws HatchwayError ENGINE_* */
  mayExec(namespace: string, signal: AbortSignal): Promise<boolean>
  /** The API server has just refused. */
  refused(namespace: string): void
}

export function createExecAccess(rest: KubeRest, now = Date.now): ExecAccess {
  const known = new BoundedMap<string, { readonly allowed: boolean; readonly until: number }>(MAX_NAMESPACES)

  /** A WebSocket is a GET, and newer servers ask for "create" as well. Old ones know of one of the two only. */
  async function ask(namespace: string, verb: string, signal: AbortSignal): Promise<boolean> {
    const resourceAttributes = { namespace, verb, resource: 'pods', subresource: 'exec' }
    const body = {
      apiVersion: 'authorization.k8s.io/v1',
      kind: 'SelfSubjectAccessReview',
      spec: { resourceAttributes },
    }
    const answer = await rest.json('POST', '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews', signal, body)
    return review.parse(answer).status.allowed
  }

  return {
    async mayExec(namespace, signal) {
      const held = known.get(namespace)
      if (held && held.until > now()) return held.allowed
      const allowed = await ask(namespace, 'get', signal).catch((error: unknown) => {
        signal.throwIfAborted()
        // A cluster that forbids even the question is asked by the exec itself.
        if (/forbidden/i.test(messageOf(error))) return true
        throw error
      })
      known.set(namespace, { allowed, until: now() + HOLDS_MS })
      return allowed
    },
    refused: (namespace) => known.set(namespace, { allowed: false, until: now() + HOLDS_MS }),
  }
}
