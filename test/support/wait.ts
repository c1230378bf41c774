/** Waiting for something that another program does. */
export function sleep(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds))
}

/** Ask until the answer is neither false nor undefined; throws after the limit, naming what was awaited. */
export async function until<T>(
  what: string,
  ask: () => Promise<T | false | undefined> | T | false | undefined,
  limit = 20_000,
  pause = 50,
): Promise<T> {
  const end = Date.now() + limit
  for (;;) {
    const answer = await ask()
    if (answer !== false && answer !== undefined) return answer
    if (Date.now() > end) throw new Error(`not within ${limit} ms: ${what}`)
    await sleep(pause)
  }
}
