/** Several streams of values as one, in the order in which they come; each is asked for its next value when the last was taken. */
import { deferred } from '../../lifetime/deferred.ts'
import { onAbort } from '../../lifetime/on-abort.ts'

export async function* merged<T>(streams: readonly AsyncIterable<T>[], signal: AbortSignal): AsyncGenerator<T> {
  const waiting = new Map<
    AsyncIterator<T>,
    Promise<{ readonly from: AsyncIterator<T>; readonly result: IteratorResult<T> }>
  >()
  const ask = (from: AsyncIterator<T>) =>
    waiting.set(
      from,
      from.next().then((result) => ({ from, result })),
    )
  const aborted = deferred<undefined>()
  const remove = onAbort(signal, () => aborted.resolve(undefined))
  for (const stream of streams) ask(stream[Symbol.asyncIterator]())
  try {
    while (waiting.size > 0) {
      const first = await Promise.race([aborted.promise, ...waiting.values()])
      if (first === undefined) return
      waiting.delete(first.from)
      if (first.result.done) continue
      yield first.result.value
      ask(first.from)
    }
  } finally {
    remove()
    for (const [from, next] of waiting) {
      next.catch(() => {})
      void from.return?.()
    }
  }
}
