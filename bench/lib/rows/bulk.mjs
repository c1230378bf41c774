// One stream of zeros through one session, out to /dev/null and in from a file with a hole.
import { truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { output, timed } from '../command.mjs'
import { withCpu } from '../cpu.mjs'
import { CHACHA, CIPHER } from '../keys.mjs'

const GOALS = [
  { target: 'docker', against: 'exec', least: 0.6, from: '#2' },
  { target: 'docker', against: 'exec', least: 1.0, from: 'design' },
  { target: 'cli', against: 'exec', least: 0.6, from: '#2' },
  { target: 'guest', against: 'sshd', least: 1.0, from: '#4' },
  { target: 'stream', against: 'docker', least: 0.8, from: '#4' },
]
const OUT = [...GOALS, { target: 'guest', against: 'sshd', least: 1.5, from: 'design' }]

export const bulkRows = [
  row('out-gcm', 'bulk out, aes128-gcm', CIPHER, 'out', OUT),
  row('in-gcm', 'bulk in, aes128-gcm', CIPHER, 'in', GOALS),
  row('out-chacha', 'bulk out, chacha20', CHACHA, 'out', OUT),
  row('in-chacha', 'bulk in, chacha20', CHACHA, 'in', GOALS),
]

function row(key, title, cipher, direction, goals) {
  return {
    key,
    targets: ['exec', 'sshd', 'docker', 'guest', 'stream', 'cli'],
    figures: [
      { key: 'rate', title, unit: 'MB/s', goals },
      { key: 'server', title: '  CPU of the server process', unit: 's/GB', goals: [] },
      { key: 'all', title: '  CPU of all on the server side', unit: 's/GB', goals: [] },
    ],
    prepare: (target, setup) => prepare(target, setup, cipher, direction),
  }
}

async function prepare(target, { megabytes, folder }, cipher, direction) {
  const bytes = megabytes * 1e6
  const options = ['-c', cipher]
  const command = direction === 'out' ? `cat /dev/zero | head -c ${bytes}` : 'cat >/dev/null'
  const stdin = direction === 'out' ? undefined : hole(folder, bytes)
  const argv = target.argv(command, options)
  await check(target, options, direction, folder)
  return {
    async sample() {
      const { result, server, all } = await withCpu(target, () => timed(argv, { stdin }))
      const gigabytes = bytes / 1e9
      return {
        rate: bytes / 1000 / result,
        ...(server !== undefined && { server: server / gigabytes }),
        all: all / gigabytes,
      }
    },
    note: target.dataPath,
  }
}

/** Warms up, takes the helper to its data path, and proves once that every byte arrives. */
async function check(target, options, direction, folder) {
  const bytes = 64e6
  const counted =
    direction === 'in'
      ? await output(target.argv('cat | wc -c', options), { stdin: hole(folder, bytes) })
      : await output(['sh', '-c', '"$@" | wc -c', 'sh', ...target.argv(`cat /dev/zero | head -c ${bytes}`, options)])
  if (Number(counted) !== bytes) throw new Error(`${counted} of ${bytes} bytes arrived`)
}

function hole(folder, bytes) {
  const file = join(folder, `zeros-${bytes}`)
  writeFileSync(file, '')
  truncateSync(file, bytes)
  return file
}
