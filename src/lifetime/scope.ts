/** Closes what was opened, in reverse, whichever line of the opening throws. */
export interface Scope {
  /** Closes `resource` later, before what was added earlier; at once on a closed scope. Returns `resource`. */
  add<T>(resource: T, close: (resource: T) => Promise<unknown> | unknown): T
  /** Closes everything, each once, even where one fails. @throws the first failure, when all are closed */
  close(): Promise<void>
}

export function createScope(): Scope {
  const closers: (() => Promise<unknown> | unknown)[] = []
  let closed: Promise<void> | undefined

  async function closeAll(): Promise<void> {
    const failures: unknown[] = []
    for (let next = closers.pop(); next; next = closers.pop()) {
      try {
        await next()
      } catch (error) {
        failures.push(error)
      }
    }
    if (failures.length > 0) throw failures[0]
  }

  return {
    add(resource, close) {
      closers.push(() => close(resource))
      if (closed) closed = closed.then(closeAll, closeAll)
      return resource
    },
    close() {
      closed ??= closeAll()
      return closed
    },
  }
}

/** Runs `open` with a scope. If it throws, all that was added to the scope is closed. */
export async function opened<T>(open: (scope: Scope) => Promise<T>): Promise<T> {
  const scope = createScope()
  try {
    return await open(scope)
  } catch (error) {
    await scope.close().catch(() => {})
    throw error
  }
}
