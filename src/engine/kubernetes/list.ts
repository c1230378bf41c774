/** The pods of a namespace, in parts that a server gives at once. */
import { type Pod, parsePod, parsePodList } from './pods.ts'
import { isRefusal, type KubeRest } from './rest.ts'

const PART = 500

export function podsPath(namespace: string): string {
  return `/api/v1/namespaces/${encodeURIComponent(namespace)}/pods`
}

export async function listPods(
  rest: KubeRest,
  namespace: string,
  signal: AbortSignal,
): Promise<{ readonly pods: readonly Pod[]; readonly resourceVersion: string }> {
  const pods: Pod[] = []
  let more = ''
  for (;;) {
    const query = new URLSearchParams({ limit: String(PART), ...(more && { continue: more }) })
    const part = parsePodList(await rest.json('GET', `${podsPath(namespace)}?${query}`, signal))
    pods.push(...part.pods)
    more = part.more
    if (more === '') return { pods, resourceVersion: part.resourceVersion }
  }
}

/** Undefined: there is none of that name. */
export async function readPod(
  rest: KubeRest,
  namespace: string,
  name: string,
  signal: AbortSignal,
): Promise<Pod | undefined> {
  try {
    return parsePod(await rest.json('GET', `${podsPath(namespace)}/${encodeURIComponent(name)}`, signal))
  } catch (error) {
    if (isRefusal(error, 404)) return undefined
    throw error
  }
}
