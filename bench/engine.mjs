/**
 * Bulk bytes through the engine drivers against the engine's own CLI, interleaved in one run, medians and ratios.
 *   npm run build && node bench/engine.mjs [MB=300] [ROUNDS=5]      needs dockerd and the image hatchway-busybox
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createCliEngine } from '../dist/engine/cli/cli.js'
import { createDockerEngine } from '../dist/engine/docker/docker.js'

const MB = Number(process.argv[2] ?? 300)
const ROUNDS = Number(process.argv[3] ?? 5)
const BYTES = MB * 1024 * 1024
const docker = async (...args) => {
  const child = spawn('docker', args, { stdio: ['ignore', 'pipe', 'inherit'] })
  let out = ''
  child.stdout.on('data', (data) => {
    out += data
  })
  await once(child, 'close')
  return out.trim()
}

const id = await docker('run', '-d', '--name', `hw-bench-engine-${process.pid}`, 'hatchway-busybox:latest')
const engines = {
  api: createDockerEngine({ endpoint: 'unix:///var/run/docker.sock' }),
  cli: createCliEngine({ binary: 'docker' }),
}
const OUT = ['head', '-c', String(BYTES), '/dev/zero']
const IN = ['sh', '-c', 'cat >/dev/null']
const block = Buffer.alloc(64 * 1024)

async function viaEngine(engine, argv, input) {
  let got = 0
  const sink = {
    write(_fd, chunk) {
      got += chunk.length
      return true
    },
  }
  const exec = await engine.exec(id, { argv, user: '0', cwd: '/', env: [] }, sink, AbortSignal.timeout(120_000))
  if (input) await feed(exec.stdin)
  else exec.stdin.end()
  const status = await exec.exit
  if (status.code !== 0 || (!input && got !== BYTES)) throw new Error(`code ${status.code}, ${got} bytes`)
}

async function feed(stdin) {
  for (let sent = 0; sent < BYTES; sent += block.length) {
    if (!stdin.write(block)) await once(stdin, 'drain')
  }
  stdin.end()
}

/** What a user has without us; its output goes to /dev/null, its input comes from this process as ours does. */
async function viaDocker(argv, input) {
  const child = spawn('docker', ['exec', '-i', id, ...argv], {
    stdio: [input ? 'pipe' : 'ignore', 'ignore', 'inherit'],
  })
  const ended = once(child, 'close')
  if (input) await feed(child.stdin)
  await ended
}

const ways = {
  'docker exec': viaDocker,
  'engine docker': (argv, input) => viaEngine(engines.api, argv, input),
  'engine cli': (argv, input) => viaEngine(engines.cli, argv, input),
}
const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]

for (const [direction, argv, input] of [
  ['out', OUT, false],
  ['in', IN, true],
]) {
  const rates = Object.fromEntries(Object.keys(ways).map((name) => [name, []]))
  const cpu = Object.fromEntries(Object.keys(ways).map((name) => [name, []]))
  for (let round = 0; round <= ROUNDS; round++) {
    for (const [name, way] of Object.entries(ways)) {
      const [began, used] = [performance.now(), process.cpuUsage()]
      await way(argv, input)
      // The first round warms caches and compilers.
      if (round === 0) continue
      const { user, system } = process.cpuUsage(used)
      rates[name].push(MB / ((performance.now() - began) / 1000))
      cpu[name].push((user + system) / 1e6 / (MB / 1024))
    }
  }
  const base = median(rates['docker exec'])
  for (const name of Object.keys(ways)) {
    const rate = median(rates[name])
    const [low, high] = [Math.min(...rates[name]), Math.max(...rates[name])]
    const range = `${low.toFixed(0)}-${high.toFixed(0)}`
    const own = `${median(cpu[name]).toFixed(2)} CPU s/GB in this process`
    console.log(
      `${direction.padEnd(4)}${name.padEnd(15)}${rate.toFixed(0).padStart(5)} MB/s (${range})  ${(rate / base).toFixed(2)} x  ${own}`,
    )
  }
}
await Promise.all([engines.api.close(), engines.cli.close()])
await docker('rm', '-f', id)
