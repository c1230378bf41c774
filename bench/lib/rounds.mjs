// One row: every target once a round, the order turned by one each round, so that no target is always after another.
import { stopped } from './stop.mjs'

const GIVE_UP = 3

/**
 * A row is `{ key, figures, prepare(target, setup) }`; prepare answers `{ sample(round), close?(), note?() }`, or
 * throws why this target has no such figure. A sample is an object with a number (or many) for each figure.
 */
export async function runRow(row, targets, setup) {
  const entries = []
  for (const target of targets) entries.push(await prepare(row, target, setup))
  const rounds = Math.min(setup.rounds, row.rounds ?? setup.rounds)
  const last = Date.now() + Math.max(setup.rowSeconds, row.seconds ?? 0) * 1000
  try {
    for (let round = 0; round < rounds && !stopped.aborted; round++) {
      // A row that is too slow for its time has fewer rounds, and says so in its column n.
      if (Date.now() > last) break
      for (let i = 0; i < entries.length; i++) await sample(entries[(i + round) % entries.length], round)
      process.stderr.write(`\r${row.key} ${round + 1}/${rounds} `)
    }
  } finally {
    process.stderr.write('\r\x1b[K')
    for (const entry of entries) {
      try {
        entry.note = entry.state?.note?.()
        await entry.state?.close?.()
      } catch (error) {
        console.error(`${row.key}, ${entry.target.name}: ${error.message}`)
      }
    }
  }
  return { row, entries }
}

async function prepare(row, target, setup) {
  const entry = { target, samples: [], failures: 0, skipped: undefined, note: undefined }
  try {
    stopped.throwIfAborted()
    entry.state = await row.prepare(target, setup)
  } catch (error) {
    entry.skipped = oneLine(error)
  }
  return entry
}

async function sample(entry, round) {
  if (!entry.state || entry.skipped !== undefined || stopped.aborted) return
  try {
    entry.samples[round] = await entry.state.sample(round)
    entry.failures = 0
  } catch (error) {
    if (stopped.aborted) return
    entry.failures++
    entry.failed = oneLine(error)
    if (entry.failures >= GIVE_UP) entry.skipped = `failed ${GIVE_UP} times: ${entry.failed}`
  }
}

function oneLine(error) {
  return error.message.trim().split('\n')[0].slice(0, 160)
}
