/**
 * The guest helper against the engine's own exec, interleaved in one run, medians and ratios.
 *   npm run build && node bench/guest.mjs [ROUNDS=15] [MB=200]      needs dockerd and the image hatchway-debian
 * DIST names another build of src/.
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'

const dist = pathToFileURL(`${resolve(process.env.DIST ?? join(import.meta.dirname, '../dist'))}/`)
const { createDockerEngine } = await import(new URL('engine/docker/docker.js', dist))
const { createGuestPool } = await import(new URL('guest/pool.js', dist))

const ROUNDS = Number(process.argv[2] ?? 15)
const MB = Number(process.argv[3] ?? 200)
const BYTES = MB * 1024 * 1024
const never = new AbortController().signal
const docker = (...args) => execFileSync('docker', args).toString().trim()
const median = (values) => [...values].sort((a, b) => a - b)[values.length >> 1]
const quiet = { info() {}, warn() {} }
const state = mkdtempSync(join(tmpdir(), 'hw-bench-guest-'))
const engine = createDockerEngine({ endpoint: 'unix:///var/run/docker.sock' })
const ROOT = { exec: '0:0', uid: 0, gid: 0 }
const PATH = 'PATH=/usr/local/bin:/usr/bin:/bin'

const spec = (argv, more) => ({
  program: argv[0],
  argv,
  env: [PATH],
  cwd: '/',
  cwdWarning: '',
  killTree: false,
  ...more,
})
const plain = (argv) => ({ argv, user: '0:0', cwd: '/', env: [] })
const count = () => {
  const sink = { bytes: 0, first: undefined, write: undefined }
  sink.write = (_fd, chunk) => {
    sink.first?.()
    sink.bytes += chunk.length
    return true
  }
  return sink
}

/** CPU seconds of this process per GB, by title: on a busy machine it tells more than the clock. */
const cost = new Map()

async function costed(title, act) {
  const before = process.cpuUsage()
  const value = await act()
  const { user, system } = process.cpuUsage(before)
  cost.set(title, [...(cost.get(title) ?? []), (user + system) / 1e6 / (BYTES / 1e9)])
  return value
}

async function timed(act) {
  const begin = performance.now()
  await act()
  return performance.now() - begin
}

async function pipe(exec, bytes) {
  const block = Buffer.alloc(64 * 1024)
  for (let sent = 0; sent < bytes; sent += block.length) {
    if (!exec.stdin.write(block)) await new Promise((wake) => exec.stdin.once('drain', wake))
  }
  exec.stdin.end()
}

/** Rounds of all modes by turns, so that a busy minute falls on each of them. */
async function compare(title, modes, rounds, show) {
  const results = Object.fromEntries(Object.keys(modes).map((name) => [name, []]))
  for (let round = 0; round < rounds; round++) {
    for (const [name, act] of Object.entries(modes)) results[name].push(await act())
  }
  const [first] = Object.keys(modes)
  console.log(`\n${title} (n=${rounds}, median, ratio to ${first})`)
  for (const [name, values] of Object.entries(results)) {
    const value = median(values)
    const ratio = show.higher ? median(results[first]) / value : value / median(results[first])
    const factor = show.higher ? 1 / ratio : ratio
    console.log(`  ${name.padEnd(36)} ${show(value).padStart(12)}  ${factor.toFixed(3)}`)
  }
}
const ms = (value) => `${value.toFixed(2)} ms`
const speed = (value) => `${value.toFixed(0)} MB/s`
speed.higher = true

/** PSS in KiB of the processes whose command line has `what`, of the bench's container alone where `inside`. */
function memory(what, inside) {
  let kib = 0
  let processes = 0
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      if (!readFileSync(`/proc/${pid}/cmdline`, 'latin1').replaceAll('\0', ' ').match(what)) continue
      if (inside && !readFileSync(`/proc/${pid}/cgroup`, 'latin1').includes(id)) continue
      const [, pss] = /^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1')) ?? []
      kib += Number(pss ?? 0)
      processes += 1
    } catch {}
  }
  return { kib, processes }
}

const id = docker('run', '-d', '--name', `hw-bench-guest-${process.pid}`, 'hatchway-debian:latest')
const readOnlyId = docker(
  'run',
  '-d',
  '--read-only',
  '--name',
  `hw-bench-guest-ro-${process.pid}`,
  'hatchway-debian:latest',
)
const open = (settings) =>
  createGuestPool(engine, { mode: 'require', stateFolder: state, direct: false, ...settings }, quiet)
const pool = open({})
const pools = open({})
const directPool = open({ direct: true })
try {
  const container = await engine.inspect(id, never)
  const readOnly = await engine.inspect(readOnlyId, never)
  const guest = await pool.acquire(container, ROOT, never)
  const direct = await directPool.acquire(container, ROOT, never)
  const { dataPath } = await directPool.explain(container, ROOT, never)
  console.log(`direct data path: ${JSON.stringify(dataPath)}`)

  const api = async () => {
    const exec = await engine.exec(id, plain(['true']), count(), never)
    exec.stdin.end()
    await exec.exit
  }
  const through = (which, argv, more) => async () => {
    const exec = await which.spawn(spec(argv, more), count(), never)
    exec.stdin.end()
    await exec.exit
  }
  const tty = { cols: 80, rows: 24, width: 0, height: 0, modes: Buffer.from([0]) }
  const first = (to) => async () => {
    let helper
    const time = await timed(async () => {
      helper = await pools.acquire(to, ROOT, never)
      await through(helper, ['true'])()
    })
    // Then the next one is the first again.
    helper.close()
    return time
  }
  await compare(
    '`true` with its exit status',
    {
      'API exec': () => timed(api),
      'live helper, exec stream': () => timed(through(guest, ['true'])),
      'live helper, direct path': () => timed(through(direct, ['true'])),
      'live helper, killTree monitor': () => timed(through(guest, ['true'], { killTree: true })),
      'live helper, pty': () => timed(through(guest, ['true'], { tty })),
    },
    ROUNDS,
    ms,
  )
  await compare(
    'first session: delivery + `true`',
    { 'API exec': () => timed(api), 'delivery by the shell': first(container), 'the same, read-only': first(readOnly) },
    ROUNDS,
    ms,
  )

  const out = (start) => async () => {
    const sink = count()
    const time = await timed(async () => (await start(['head', '-c', String(BYTES), '/dev/zero'], sink)).exit)
    if (sink.bytes !== BYTES) throw new Error(`${sink.bytes} bytes came`)
    return BYTES / 1e3 / time
  }
  const into = (start) => async () => {
    const time = await timed(async () => {
      const exec = await start(['sh', '-c', 'cat >/dev/null'], count())
      await pipe(exec, BYTES)
      await exec.exit
    })
    return BYTES / 1e3 / time
  }
  const roads = {
    'API exec': (argv, sink) => engine.exec(id, plain(argv), sink, never),
    'helper, exec stream': (argv, sink) => guest.spawn(spec(argv), sink, never),
    'helper, direct path': (argv, sink) => direct.spawn(spec(argv), sink, never),
  }
  const bulkRounds = Math.max(3, ROUNDS >> 1)
  for (const [title, way] of [
    ['out', out],
    ['in', into],
  ]) {
    const modes = Object.fromEntries(
      Object.entries(roads).map(([name, start]) => [name, () => costed(`${title}, ${name}`, way(start))]),
    )
    await compare(`bulk ${title}, ${MB} MB`, modes, bulkRounds, speed)
  }

  console.log('\ngateway CPU, s/GB (median)')
  for (const [title, values] of cost) console.log(`  ${title.padEnd(36)} ${median(values).toFixed(2)}`)

  // A keystroke's way while another session moves as much as it can.
  const echo = async (which) => {
    let wake = () => {}
    const sink = {
      write() {
        wake()
        return true
      },
    }
    const exec = await which.spawn(spec(['cat']), sink, never)
    const bulk = await which.spawn(spec(['cat', '/dev/zero']), count(), never)
    const times = []
    for (let i = 0; i < 100; i++) {
      const came = new Promise((resolve) => {
        wake = resolve
      })
      const begin = performance.now()
      exec.stdin.write('x')
      await came
      times.push(performance.now() - begin)
      await sleep(5)
    }
    exec.close()
    bulk.close()
    times.sort((a, b) => a - b)
    return `median ${times[50].toFixed(2)} ms, p95 ${times[95].toFixed(2)} ms`
  }
  console.log(`\necho behind a bulk session: exec stream ${await echo(guest)}; direct path ${await echo(direct)}`)

  await sleep(500)
  globalThis.gc?.()
  const everything = () => ({
    helper: memory(/^\/proc\/self\/fd\/3 serve/, true),
    engine: memory(/^(dockerd|containerd)/),
    shim: memory(new RegExp(`containerd-shim.*${id}`)),
    programs: memory(/^sleep 4242/, true),
    gateway: process.memoryUsage().rss / 1024,
  })
  const before = everything()
  const idle = []
  for (let i = 0; i < 100; i++) idle.push(await guest.spawn(spec(['sleep', '4242'], { tty }), count(), never))
  await sleep(1000)
  globalThis.gc?.()
  const after = everything()
  console.log('\n100 idle pty sessions, growth (KiB PSS; the gateway: RSS)')
  for (const part of ['helper', 'engine', 'shim', 'programs']) {
    console.log(`  ${part.padEnd(10)} ${after[part].kib - before[part].kib} in ${after[part].processes} processes`)
  }
  console.log(`  gateway    ${Math.round(after.gateway - before.gateway)}`)
  const sum = ['helper', 'engine', 'shim', 'programs'].reduce(
    (all, part) => all + after[part].kib - before[part].kib,
    0,
  )
  console.log(`  each       ${((sum + after.gateway - before.gateway) / 100).toFixed(1)} with its program`)
  for (const exec of idle) exec.close()
} finally {
  await pool.close()
  await directPool.close()
  await pools.close()
  await engine.close()
  docker('rm', '-f', id, readOnlyId)
  rmSync(state, { recursive: true, force: true })
}
