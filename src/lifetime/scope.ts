/** What was opened is closed again, in reverse, whichever line of the opening throws. */
export interface Scope {
  /** Closed later, before what was added earlier. On a scope that is closed already: at once. Returns `resource`. */
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

/** Opens with a scope: what `open` throws closes all that was added to it. */
export async function opened<T>(open: (scope: Scope) => Promise<T>): Promise<T> {
  const scope = createScope()
  try {
    return await open(scope)
  } catch (error) {
    await scope.close().catch(() => {})
    throw error
  }
}
