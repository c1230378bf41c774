/** A promise that is settled from outside. */
export interface Deferred<T> {
  readonly promise: Promise<T>
  /** Only the first call of the two counts, as with any promise. */
  resolve(value: T | PromiseLike<T>): void
  reject(error: unknown): void
}

/** Promise.withResolvers(), which node 20 does not have. */
export function deferred<T = void>(): Deferred<T> {
  let resolve!: (value: T | PromiseLike<T>) => void
  let reject!: (error: unknown) => void
  const promise = new Promise<T>((onResolve, onReject) => {
    resolve = onResolve
    reject = onReject
  })
  return { promise, resolve, reject }
}
