/**
 * What a recording costs people: much text on a terminal and without one, and a key's echo, through gateways that record nothing, as
 * well as they can, and in any case; round by round, and CPU of the gateway beside.
 *   npm run build && node bench/recording.mjs [ROUNDS=9] [MEGABYTES=100]      needs dockerd and the image hatchway-busybox
 */
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { spawn as openPty } from 'node-pty'
import { timed, until } from './lib/command.mjs'
import { cpuOf } from './lib/proc.mjs'
import { median, pairedRatio } from './lib/stats.mjs'

const rounds = Number(process.argv[2] ?? 9)
const megabytes = Number(process.argv[3] ?? 100)
const KEYS = 100
const WARM_KEYS = 300
const main = resolve(import.meta.dirname, '../dist/main.js')
// In memory: no disk is measured.
const scratch = mkdtempSync('/dev/shm/hw-bench-recording-')
const container = `hw-bench-recording-${process.pid}`
const kinds = { off: 'off', 'best-effort': 'best-effort', required: 'required' }
const running = []
const terminals = []

async function gateway(name, record) {
  const folder = join(scratch, name.replaceAll(/\W+/g, '-'))
  mkdirSync(folder)
  const directory = join(folder, 'records')
  const config = { log: { format: 'json' }, recording: { directory, record } }
  writeFileSync(join(folder, 'hatchway.yaml'), JSON.stringify(config))
  const args = ['serve', '--config', join(folder, 'hatchway.yaml'), '--keys', join(folder, 'keys')]
  args.push('--listen', '127.0.0.1:0', '--authorized-keys', join(scratch, 'id.pub'), '--engine', 'docker')
  const child = spawn(process.execPath, [main, ...args], { stdio: ['ignore', 'ignore', 'pipe'] })
  running.push(child)
  let log = ''
  child.stderr.setEncoding('utf8').on('data', (text) => {
    log += text
  })
  const port = await until(`${name} listens`, () => /"port":(\d+).*"msg":"listening"/.exec(log)?.[1], 60_000)
  const options = ['BatchMode=yes', 'StrictHostKeyChecking=no', 'UserKnownHostsFile=/dev/null', 'LogLevel=ERROR']
  options.push('Ciphers=aes128-gcm@openssh.com', `Port=${port}`, `IdentityFile=${join(scratch, 'id')}`)
  const flags = ['-F', 'none', ...options.flatMap((option) => ['-o', option])]
  const host = `root@${container}@127.0.0.1`
  let echoes = []
  const isEcho = (id) => echoes.includes(id)
  const bulk = async (...more) => {
    const ms = await timed(['ssh', ...flags, ...more, host, 'cat /dev/shm/text'])
    // Sealed, so that the next round pays nothing for it.
    const isSealed = (id) =>
      existsSync(join(directory, id, 'manifest.json')) && !existsSync(join(directory, id, 'started.json'))
    await until(
      'it is sealed',
      () => !existsSync(directory) || readdirSync(directory).every((id) => isSealed(id) || isEcho(id)),
    )
    for (const id of existsSync(directory) ? readdirSync(directory) : [])
      if (!isEcho(id)) rmSync(join(directory, id), { recursive: true })
    return ms
  }
  let terminal
  return {
    pid: child.pid,
    bulk: () => bulk(),
    terminal: () => bulk('-tt'),
    echo: async () => {
      terminal ??= await openTerminal(['ssh', ...flags, '-tt', host, 'stty raw -echo; printf READY; exec cat'])
      if (echoes.length === 0 && existsSync(directory)) echoes = readdirSync(directory)
      const all = []
      for (let key = 0; key < KEYS; key++) {
        all.push(await terminal())
        await delay(4)
      }
      return median(all)
    },
  }
}

async function openTerminal(argv) {
  const pty = openPty(argv[0], argv.slice(1), { cols: 80, rows: 24 })
  terminals.push(pty)
  let wake = () => {}
  let shown = ''
  pty.onData((data) => {
    shown += data
    wake()
  })
  await until('the terminal is there', () => shown.includes('READY'))
  const echo = async () => {
    const began = performance.now()
    const seen = new Promise((done) => {
      wake = done
    })
    pty.write('x')
    await seen
    return performance.now() - began
  }
  for (let key = 0; key < WARM_KEYS; key++) await echo()
  return echo
}

try {
  execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(scratch, 'id')])
  execFileSync('docker', ['run', '-d', '--shm-size', '1g', '--name', container, 'hatchway-busybox', 'sleep', '3600'])
  const gateways = {}
  const text = `head -c ${megabytes * 750_000} /dev/urandom | base64 >/dev/shm/text`
  execFileSync('docker', ['exec', container, 'sh', '-c', text])
  for (const [name, record] of Object.entries(kinds)) gateways[name] = await gateway(name, record)
  const names = Object.keys(gateways)
  const measures = ['terminal', 'bulk', 'echo']
  const samples = Object.fromEntries(measures.map((what) => [what, names.map(() => ({ ms: [], cpu: [] }))]))
  for (let round = -1; round < rounds; round++) {
    for (const what of measures) {
      // The first of a round is another one each time.
      for (let turn = 0; turn < names.length; turn++) {
        const at = (turn + Math.max(0, round)) % names.length
        const one = gateways[names[at]]
        const before = cpuOf(one.pid)
        const ms = await one[what]()
        if (round < 0) continue
        samples[what][at].ms.push(ms)
        samples[what][at].cpu.push((cpuOf(one.pid) - before) * (what === 'echo' ? 1000 / KEYS : 1000 / megabytes))
      }
    }
  }
  for (const what of measures) {
    const [base] = samples[what]
    for (const [at, name] of names.entries()) {
      const { ms, cpu } = samples[what][at]
      const times =
        what === 'echo' ? `${median(ms).toFixed(2)} ms` : `${((megabytes * 1000) / median(ms)).toFixed(0)} MB/s`
      const unit = what === 'echo' ? 'ms' : 's/GB'
      const ratio = what === 'echo' ? pairedRatio(ms, base.ms) : 1 / pairedRatio(ms, base.ms)
      console.log(
        `${what.padEnd(8)} ${name.padEnd(14)} ${times.padStart(10)}  ${ratio.toFixed(3)} x   CPU ${median(cpu).toFixed(2)} ${unit}  ${pairedRatio(cpu, base.cpu).toFixed(3)} x`,
      )
    }
  }
} finally {
  for (const pty of terminals) pty.kill()
  for (const child of running) {
    if (child.exitCode === null) {
      child.kill('SIGTERM')
      await once(child, 'exit')
    }
  }
  execFileSync('docker', ['rm', '-f', container], { stdio: 'ignore' })
  rmSync(scratch, { recursive: true, force: true })
}
