/**
 * What the audit trail costs people: a login, and a large file by sftp, through gateways without it, with it, and with the
 * hashes of files; round by round, and CPU of the gateway beside.
 *   npm run build && node bench/audit-live.mjs [ROUNDS=15] [MEGABYTES=300, or 0: only logins]      needs dockerd and the image hatchway-busybox
 */
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { timed, until } from './lib/command.mjs'
import { cpuOf } from './lib/proc.mjs'
import { median, pairedRatio } from './lib/stats.mjs'
import { stopOnSignals } from './lib/stop.mjs'

const rounds = Number(process.argv[2] ?? 15)
const megabytes = Number(process.argv[3] ?? 300)
const LOGINS = 10
/** With a trail and without its hashes, against without: time of a login at most, rate of a file at least. */
const GOALS = { login: 1.02, put: 0.95, get: 0.95 }
const main = resolve(import.meta.dirname, '../dist/main.js')
// In memory: no disk is measured.
const scratch = mkdtempSync('/dev/shm/hw-bench-audit-')
const container = `hw-bench-audit-${process.pid}`
const kinds = {
  off: undefined,
  audit: { hashes: false },
  'audit, hashes': { hashes: true },
}
const running = []
stopOnSignals(30)

async function gateway(name, audit) {
  const folder = join(scratch, name.replaceAll(/\W+/g, '-'))
  mkdirSync(folder)
  const config = { log: { format: 'json' }, ...(audit && { audit: { file: join(folder, 'audit.jsonl'), ...audit } }) }
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
  const local = join(folder, 'file')
  writeFileSync(local, Buffer.alloc(megabytes * 1e6, 'hatchway'))
  const sftp = (input) => timed(['sftp', '-q', '-b', '-', ...flags, host], { input: `${input}\n` })
  return {
    pid: child.pid,
    login: async () => {
      let ms = 0
      for (let count = 0; count < LOGINS; count++) ms += await timed(['ssh', ...flags, host, 'true'])
      return ms / LOGINS
    },
    put: () => sftp(`put ${local} /dev/shm/file`),
    get: () => sftp(`get /dev/shm/file ${local}`),
  }
}

try {
  execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(scratch, 'id')])
  execFileSync('docker', ['run', '-d', '--shm-size', '1g', '--name', container, 'hatchway-busybox', 'sleep', '3600'])
  const gateways = {}
  for (const [name, audit] of Object.entries(kinds)) gateways[name] = await gateway(name, audit)
  const names = Object.keys(gateways)
  const measures = megabytes > 0 ? ['login', 'put', 'get'] : ['login']
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
        samples[what][at].cpu.push((cpuOf(one.pid) - before) * (what === 'login' ? 1000 / LOGINS : 1000 / megabytes))
      }
    }
  }
  for (const what of measures) {
    const [base] = samples[what]
    for (const [at, name] of names.entries()) {
      const { ms, cpu } = samples[what][at]
      const times =
        what === 'login' ? `${median(ms).toFixed(1)} ms` : `${((megabytes * 1000) / median(ms)).toFixed(0)} MB/s`
      const unit = what === 'login' ? 'ms' : 's/GB'
      const ratio = what === 'login' ? pairedRatio(ms, base.ms) : 1 / pairedRatio(ms, base.ms)
      const isMet = what === 'login' ? ratio <= GOALS[what] : ratio >= GOALS[what]
      const goal = name === 'audit' ? `   goal ${GOALS[what]} x: ${isMet ? 'ok' : 'NOT'}` : ''
      console.log(
        `${what.padEnd(6)} ${name.padEnd(14)} ${times.padStart(10)}  ${ratio.toFixed(3)} x   CPU ${median(cpu).toFixed(2)} ${unit}  ${pairedRatio(cpu, base.cpu).toFixed(3)} x${goal}`,
      )
    }
  }
} finally {
  for (const child of running) {
    if (child.exitCode === null) {
      child.kill('SIGTERM')
      await once(child, 'exit')
    }
  }
  execFileSync('docker', ['rm', '-f', container], { stdio: 'ignore' })
  rmSync(scratch, { recursive: true, force: true })
}
