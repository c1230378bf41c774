/**
 * The pods of one namespace, followed: a list, then a watch from its resourceVersion on, from the last bookmark or change
 * when the stream ends, and a list again where the server has forgotten that version (410 Gone).
 */
import { HatchwayError, isFailure } from '../../base/errors.ts'
import { createBackoff } from '../../lifetime/backoff.ts'
import { readLines } from '../lines.ts'
import { listPods, podsPath } from './list.ts'
import { type Pod, parseWatchLine } from './pods.ts'
import { ApiRefusal, isRefusal, type KubeRest } from './rest.ts'

export type PodChange =
  /** All there are. `again`: what was known before may have missed changes. */
  | { readonly type: 'all'; readonly pods: readonly Pod[]; readonly again: boolean }
  | { readonly type: 'pod'; readonly gone: boolean; readonly pod: Pod }
  /** The server cannot be reached, or fails; told once, until 'all'. */
  | { readonly type: 'lost'; readonly error: HatchwayError }

/** The server ends a watch after so long, so that a dead one is noticed by nobody's hearing of it. */
const WATCH_SECONDS = 240
const BACKOFF = { firstMs: 200, longestMs: 5_000, calmMs: 30_000 }

export async function* watchPods(rest: KubeRest, namespace: string, signal: AbortSignal): AsyncGenerator<PodChange> {
  const backoff = createBackoff(BACKOFF)
  let version: string | undefined
  let again = false
  let away = false
  while (!signal.aborted) {
    try {
      await backoff.pause(signal)
      if (version === undefined) {
        const { pods, resourceVersion } = await listPods(rest, namespace, signal)
        version = resourceVersion
        yield { type: 'all', pods, again }
        again = true
        away = false
      }
      const query = new URLSearchParams({
        watch: 'true',
        allowWatchBookmarks: 'true',
        resourceVersion: version,
        timeoutSeconds: String(WATCH_SECONDS),
      })
      const response = await rest.open(`${podsPath(namespace)}?${query}`, signal)
      try {
        for await (const text of readLines(response)) {
          const line = parseWatchLine(text)
          if (line === undefined) continue
          if (line.type === 'error') throw new ApiRefusal({ code: line.code, reason: '', message: line.message })
          version = line.type === 'pod' ? line.pod.resourceVersion : line.resourceVersion
          if (line.type === 'pod') yield line
        }
      } finally {
        response.destroy()
      }
    } catch (error) {
      if (signal.aborted) return
      const isForbidden = isRefusal(error, 403) || isRefusal(error, 404)
      const failure = isForbidden || isRefusal(error, 410) ? undefined : asFailure(error, namespace)
      // A stream that breaks says nothing yet: the next attempt does.
      const isLost = failure !== undefined && !isFailure(failure, 'ENGINE_LOST')
      // What a server says of a version that it has forgotten differs; a list is right in any case.
      if (error instanceof ApiRefusal || isLost) version = undefined
      // A namespace that nobody tells us of, or that is not there, has no pods for us.
      if (isForbidden) {
        yield { type: 'all', pods: [], again }
        again = true
        away = false
      } else if (isLost && !away) {
        away = true
        yield { type: 'lost', error: failure }
      }
    }
  }
}

function asFailure(error: unknown, namespace: string): HatchwayError | undefined {
  if (error instanceof HatchwayError) return error
  if (!(error instanceof ApiRefusal)) return undefined
  const sentence = `the container engine does not tell of the pods of namespace ${namespace}`
  return new HatchwayError('ENGINE_ERROR', sentence, { cause: error })
}
