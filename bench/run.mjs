// npm run bench: one table of what sessions cost, beside `docker exec` and sshd. bench/README.md says what each row is.
import { writeFileSync } from 'node:fs'
import { availableParallelism, loadavg } from 'node:os'
import { attempt } from './lib/command.mjs'
import { CIPHER, KEX, makeKeys, makeScratch } from './lib/keys.mjs'
import { readOptions } from './lib/options.mjs'
import { summarize, table } from './lib/report.mjs'
import { runRow } from './lib/rounds.mjs'
import { bulkRows } from './lib/rows/bulk.mjs'
import { coldRow, connectRow, defaultKexRow } from './lib/rows/connect.mjs'
import { cycleRows } from './lib/rows/cycles.mjs'
import { echoRow } from './lib/rows/echo.mjs'
import { firstRow } from './lib/rows/first.mjs'
import { forwardBulkRow, forwardIdleRow, forwardRow } from './lib/rows/forward.mjs'
import { channelRow, liveRow } from './lib/rows/live.mjs'
import { memoryRow, thousandRow } from './lib/rows/memory.mjs'
import { largeRow, scpRow, smallRow, treeRow } from './lib/rows/sftp.mjs'
import { closeAll, stopOnSignals, stopped } from './lib/stop.mjs'
import { TARGETS } from './lib/targets.mjs'

// Memory first: the engine's heap has not been grown by the other rows yet.
const ROWS = [
  memoryRow,
  connectRow,
  coldRow,
  defaultKexRow,
  liveRow,
  channelRow,
  firstRow,
  echoRow,
  forwardRow,
  forwardIdleRow,
  ...bulkRows,
  forwardBulkRow,
  largeRow,
  smallRow,
  scpRow,
  treeRow,
  ...cycleRows,
  thousandRow,
]

const options = optionsOrExit()
if (options) await main()

function optionsOrExit() {
  try {
    return readOptions(
      ROWS.map((row) => row.key),
      TARGETS.map((target) => target.key),
    )
  } catch (error) {
    console.error(error.message)
    process.exit(2)
  }
}

async function main() {
  stopOnSignals(options.minutes)
  const about = await describe()
  const sections = []
  try {
    const folder = makeScratch()
    const setup = { ...options, folder, keys: await makeKeys(folder) }
    const rows = ROWS.filter((row) => options.only.includes(row.key))
    const targets = await openTargets(rows, setup)
    for (const row of rows) {
      if (stopped.aborted) break
      const wanted = targets.filter((target) => row.targets.includes(target.key))
      sections.push(...summarize(await runRow(row, wanted, setup)))
    }
  } catch (error) {
    if (!stopped.aborted) throw error
  } finally {
    await closeAll()
  }
  if (stopped.aborted) console.error(`stopped early: ${stopped.reason.message}`)
  about.loadAfter = loadavg()[0]
  print(about, sections)
  if (options.json) writeFileSync(options.json, `${JSON.stringify({ about, sections }, undefined, 1)}\n`)
}

async function openTargets(rows, setup) {
  const wanted = TARGETS.filter(
    ({ key }) => options.targets.includes(key) && rows.some((row) => row.targets.includes(key)),
  )
  const opened = []
  for (const target of wanted) opened.push(await target.open(setup))
  return opened
}

async function describe() {
  const first = async (...argv) => (await attempt(argv))?.stdout.trim().split('\n')[0] ?? '?'
  const [commit, engine, cpu] = await Promise.all([
    first('git', '-C', import.meta.dirname, 'describe', '--always', '--dirty'),
    first('docker', 'version', '-f', '{{.Server.Version}}'),
    first('sed', '-n', 's/^model name.*: //p', '/proc/cpuinfo'),
  ])
  const { rounds, megabytes, fileMegabytes, idle, scale } = options
  const sizes = { rounds, megabytes, fileMegabytes, idle, scale }
  const machine = { cpu, cores: availableParallelism(), node: process.version, engine }
  return { date: new Date().toISOString(), commit, ...machine, ...sizes, kex: KEX, cipher: CIPHER, load: loadavg()[0] }
}

function print(about, sections) {
  console.log(
    `Hatchway ${about.commit}, ${about.date}; node ${about.node}, docker ${about.engine}, ${about.cores} x ${about.cpu}
load ${about.load.toFixed(1)} before, ${about.loadAfter.toFixed(1)} after; up to ${about.rounds} interleaved rounds; ssh: ${about.kex}, ${about.cipher}
bulk ${about.megabytes} MB, sftp file ${about.fileMegabytes} MB, ${about.idle} idle sessions${about.scale < 1 ? `; counts x ${about.scale}: these figures mean nothing` : ''}
x: median of the rounds' ratios. Goals of issues #2, #4, #6 and the design.\n`,
  )
  console.log(sections.length > 0 ? table(sections) : 'nothing was measured')
}
