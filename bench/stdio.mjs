/**
 * How long a client waits for `hatchway stdio`: to the banner, to the end of `ssh true`, beside an empty node process.
 *   npm run build && node bench/stdio.mjs [ROUNDS=15]      needs dockerd and the image hatchway-busybox
 */
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { median } from './lib/stats.mjs'

const rounds = Number(process.argv[2] ?? 15)
const main = resolve(import.meta.dirname, '../dist/main.js')
const scratch = mkdtempSync(join(tmpdir(), 'hw-bench-stdio-'))
const container = `hw-bench-stdio-${process.pid}`
const node = process.execPath

/** Milliseconds until the first bytes of its output. */
async function first(args) {
  const start = performance.now()
  const child = spawn(node, args, { stdio: ['pipe', 'pipe', 'ignore'] })
  const ended = once(child, 'exit')
  await once(child.stdout, 'data')
  const time = performance.now() - start
  child.kill('SIGKILL')
  await ended
  return time
}

async function whole(command, args) {
  const start = performance.now()
  const [code] = await once(spawn(command, args, { stdio: 'ignore' }), 'exit')
  if (code !== 0) throw new Error(`${command} ended with ${code}`)
  return performance.now() - start
}

try {
  execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(scratch, 'id')])
  copyFileSync(join(scratch, 'id.pub'), join(scratch, 'authorized_keys'))
  execFileSync('docker', ['run', '-d', '--name', container, 'hatchway-busybox', 'sleep', '600'])
  const stdio = [main, 'stdio', '--container', container, '--keys', join(scratch, 'keys')]
  stdio.push('--authorized-keys', join(scratch, 'authorized_keys'))
  const options = ['BatchMode=yes', 'StrictHostKeyChecking=no', 'UserKnownHostsFile=/dev/null', 'LogLevel=ERROR']
  options.push(`ProxyCommand=${[node, ...stdio].join(' ')}`)
  const ssh = ['-F', 'none', '-i', join(scratch, 'id'), ...options.flatMap((option) => ['-o', option])]
  const measured = {
    'node, empty': () => first(['-e', 'console.log(1)']),
    'stdio, to the banner': () => first(stdio),
    'stdio, ssh true': () => whole('ssh', [...ssh, 'root@anything', 'true']),
    'docker exec true': () => whole('docker', ['exec', container, 'true']),
  }
  const times = Object.fromEntries(Object.keys(measured).map((name) => [name, []]))
  for (let round = -1; round < rounds; round++) {
    for (const [name, measure] of Object.entries(measured)) {
      const time = await measure()
      // The first round makes host keys and warms caches.
      if (round >= 0) times[name].push(time)
    }
  }
  const base = median(times['node, empty'])
  for (const [name, list] of Object.entries(times)) {
    console.log(`${name.padEnd(22)} ${median(list).toFixed(0).padStart(5)} ms  ${(median(list) / base).toFixed(2)}`)
  }
} finally {
  execFileSync('docker', ['rm', '-f', container], { stdio: 'ignore' })
  rmSync(scratch, { recursive: true, force: true })
}
