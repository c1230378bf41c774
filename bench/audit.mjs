// What the audit trail costs: CPU of a file operation on its way from the event to the disk, how many a second go through,
// and how long a trail of a gigabyte takes to search and to verify. npm run build && node bench/audit.mjs [GIGABYTES]
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { auditRecord } from '../dist/evidence/audit/record.js'
import { openSigningKey } from '../dist/evidence/audit/signing-key.js'
import { openTrail } from '../dist/evidence/audit/trail.js'

const MAIN = resolve(import.meta.dirname, '../dist/main.js')
const gigabytes = Number(process.argv[2] ?? 1)
const folder = mkdtempSync(join(tmpdir(), 'hw-bench-audit-'))
process.once('exit', () => rmSync(folder, { recursive: true, force: true }))

const log = { info() {}, warn: console.error, error: console.error }
const keys = join(folder, 'keys')
const key = await openSigningKey(keys)
const file = join(folder, 'audit.jsonl')
const settings = { file, rotateSize: 100 * 1024 ** 2, rotateEvery: 0, headEvery: 1000, fsync: 'head' }
const trail = await openTrail(settings, { key, log, anchor() {} })

const gateway = { id: 'a'.repeat(32), process: 'b'.repeat(32), host: 'gateway' }
const container = { id: 'c'.repeat(64), name: 'web', image: 'debian:12' }
const remote = { address: '192.0.2.7', port: 50_000 }
const fingerprint = `SHA256:${'x'.repeat(43)}`
let told = 0
function tell() {
  // One of a thousand is anna's: what is searched for.
  const identity = {
    name: told % 1000 === 0 ? 'anna' : 'bob',
    method: 'publickey',
    fingerprint,
    source: '/etc/hatchway/keys:7',
  }
  const whose = { connectionId: 'd'.repeat(16), remote, login: 'dev@web', identity }
  const session = { id: 'abcdef01', container, user: 'dev' }
  const operation = {
    name: 'close',
    path: `/home/dev/project/src/file${told}.ts`,
    bytesRead: 0,
    bytesWritten: 4096,
    result: 'OK',
  }
  told++
  trail.add(
    auditRecord({
      type: 'sftp',
      whose,
      session,
      operation,
      at: Date.now(),
      gateway,
      engine: 'unix:///var/run/docker.sock',
    }),
  )
}

// At a pace: what is left over of each 10 ms is the gateway's.
const SECONDS = 5
const before = process.cpuUsage()
for (let tick = 0; tick < SECONDS * 100; tick++) {
  for (let count = 0; count < 100; count++) tell()
  await delay(10)
}
await trail.settled()
const { user, system } = process.cpuUsage(before)
console.log(
  `10,000 file operations a second: ${((user + system) / told).toFixed(1)} us CPU each, failing: ${trail.failing ?? 'never'}`,
)

const size = () => readdirSync(folder).reduce((sum, name) => sum + statSync(join(folder, name)).size, 0)
const paced = told
const start = performance.now()
while (size() < gigabytes * 1024 ** 3) {
  for (let count = 0; count < 20_000; count++) tell()
  await trail.settled()
}
const seconds = (performance.now() - start) / 1000
console.log(`as fast as it goes: ${Math.round((told - paced) / seconds)} a second`)
await trail.close()

function timed(what, ...args) {
  const measured = [
    '-c',
    'TIMEFORMAT="%R %U %S"; time "$@" >/dev/null',
    'bash',
    process.execPath,
    MAIN,
    'audit',
    ...args,
  ]
  const { stderr, status } = spawnSync('bash', [...measured, '--keys', keys], { encoding: 'utf8' })
  const [real, own, kernel] = stderr.trim().split(' ').map(Number)
  const gb = (size() / 1024 ** 3).toFixed(2)
  console.log(`${what}: ${real} s, ${(own + kernel).toFixed(2)} CPU s for ${gb} GB (exit code ${status})`)
}
timed('search --who anna --json', 'search', file, '--who', 'anna', '--json')
timed('search --outcome refused', 'search', file, '--outcome', 'refused')
timed('search --action file --since, of all', 'search', file, '--action', 'fault', '--since', '1h')
timed('verify', 'verify', file)
