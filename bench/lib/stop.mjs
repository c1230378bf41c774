// What was opened is closed, last first, whatever happens: at the end, at Ctrl-C, when the time is over.
const closers = []
const stopping = new AbortController()

/** Aborts at Ctrl-C, SIGTERM and when the run's time is over. */
export const stopped = stopping.signal

/** `close` runs at the end of the run, or earlier through the function this answers; once either way. */
export function onClose(close) {
  let done
  const once = () => {
    done ??= Promise.resolve()
      .then(close)
      .catch((error) => console.error(`while closing: ${error.message}`))
    const at = closers.indexOf(once)
    if (at >= 0) closers.splice(at, 1)
    return done
  }
  closers.push(once)
  return once
}

export async function closeAll() {
  while (closers.length > 0) await closers.at(-1)()
}

/** A terminal's Ctrl-C comes twice within moments: once from it, once from npm. */
const AGAIN = 2000

/** The first signal ends the run in order; a second one, later, does not wait. */
export function stopOnSignals(minutes) {
  const timer = setTimeout(() => stopping.abort(new Error(`the run's ${minutes} minutes are over`)), minutes * 60_000)
  timer.unref()
  for (const [name, number] of [
    ['SIGINT', 2],
    ['SIGTERM', 15],
  ]) {
    let first
    process.on(name, () => {
      if (first !== undefined && performance.now() - first > AGAIN) process.exit(128 + number)
      first ??= performance.now()
      process.exitCode = 128 + number
      stopping.abort(new Error(name))
    })
  }
}
