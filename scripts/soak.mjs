/**
 * npm run soak -- [--minutes N] [--workers N]: mixed sessions of real OpenSSH clients through a gateway of its own into a
 * container of its own, while clients are killed, gateways are killed and handed over. Afterwards all must be as it was: see
 * docs/reliability.md. Exits 1 where a session failed without a cause that was injected, or where something is left.
 */
import { execFile, spawn } from 'node:child_process'
import { createHash, randomBytes, randomInt } from 'node:crypto'
import { copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs, promisify } from 'node:util'

const { values } = parseArgs({
  options: { minutes: { type: 'string', default: '2' }, workers: { type: 'string', default: '6' } },
})
const MINUTES = Math.min(Number(values.minutes), 24 * 60)
const WORKERS = Math.min(Number(values.workers), 64)
const MAIN = resolve(import.meta.dirname, '../dist/main.js')
/** A restart, or a kill of the gateway that serves, every so often. */
const [RESTART_MS, SESSION_MS, SETTLE_MS] = [15_000, 60_000, 60_000]

const exec = promisify(execFile)
const folder = mkdtempSync(join(tmpdir(), 'hatchway-soak-'))
const name = `hw-soak-${randomBytes(4).toString('hex')}`
const socket = join(folder, 'c.sock')
const counts = { sessions: 0, killedClients: 0, killedGateways: 0, restarts: 0, failed: 0 }
const kinds = new Map()
const unexplained = []
/** When a gateway was killed: what fails around it has its cause. */
const kills = []
let isOver = false

const docker = async (...args) => (await exec('docker', args, { maxBuffer: 1e8 })).stdout.trim()
const hatchway = (...args) =>
  exec(process.execPath, [MAIN, ...args, '--control-socket', socket], {
    ...{ timeout: 90_000, env: { ...process.env, HATCHWAY_CONFIG: '/dev/null' } },
  })

async function until(what, ask, limitMs = SETTLE_MS) {
  const end = Date.now() + limitMs
  for (let last; ; await sleep(250)) {
    last = await ask().catch((error) => error)
    if (last === true) return undefined
    if (Date.now() > end) return `${what}: ${last instanceof Error ? last.message : JSON.stringify(last)}`
  }
}

// --- what is served ---------------------------------------------------------------------------------------------------

let log = ''
let first
let port

function startGateway(listen) {
  const child = spawn(process.execPath, [MAIN, 'serve', '--config', join(folder, 'c.yaml'), '--listen', listen], {
    ...{ stdio: ['ignore', 'pipe', 'pipe'], cwd: folder, env: { ...process.env, HATCHWAY_LOG_FORMAT: 'json' } },
  })
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text) => {
      log = (log + text).slice(-20_000_000)
    })
  child.ended = new Promise((done) => child.once('exit', done))
  return child
}

async function serving() {
  const { stdout } = await hatchway('sessions', '--json').catch(() => ({ stdout: '' }))
  const pid = [...log.matchAll(/"pid":(\d+),"node"/g)].map(([, found]) => Number(found)).findLast(lives)
  return { pid, sessions: stdout === '' ? [] : JSON.parse(stdout) }
}

/** A gateway of this run: pids come again. */
function lives(pid) {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(folder)
  } catch {
    return false
  }
}

// --- what people do ---------------------------------------------------------------------------------------------------

const payload = randomBytes(300_000)
const sum = createHash('sha256').update(payload).digest('hex')
const ssh = (user, ...args) => ['ssh', ['-F', join(folder, 'config'), '-l', user, ...args]]

/** Each: a client, what is its input, and what tells that all went well. */
const KINDS = {
  exec: () => ({
    run: ssh(`dev@${name}`, 't', 'echo out; echo err >&2; exit 3'),
    good: ({ code, out }) => code === 3 && out === 'out\n',
  }),
  pipe: () => ({
    ...{ run: ssh(`dev@${name}`, 't', 'sha256sum'), input: payload },
    good: ({ code, out }) => code === 0 && out.startsWith(sum),
  }),
  pty: () => ({
    run: ssh(`dev@${name}`, '-tt', 't', 'sleep 1; tty'),
    good: ({ code, out }) => code === 0 && out.includes('/dev/pts/'),
  }),
  held: () => ({
    run: ssh(`dev@${name}`, 't', `sleep ${randomInt(2, 12)}; echo held`),
    good: ({ code, out }) => code === 0 && out === 'held\n',
  }),
  forward: () => ({
    ...{ run: ssh(`dev@${name}`, '-W', '127.0.0.1:7777', 't'), input: 'echoed' },
    good: ({ code, out }) => code === 0 && out === 'echoed',
  }),
  scp: () => ({
    run: [
      'scp',
      [
        '-q',
        '-F',
        join(folder, 'config'),
        '-o',
        `User=dev@${name}`,
        join(folder, 'payload'),
        `t:/tmp/p${randomInt(20)}`,
      ],
    ],
    good: ({ code }) => code === 0,
  }),
  sftp: () => ({
    ...{ run: ['sftp', ['-q', '-b', '-', '-F', join(folder, 'config'), '-o', `User=dev@${name}`, 't']] },
    ...{
      input: 'ls /etc\nget /etc/passwd /dev/null\n',
      good: ({ code, out }) => code === 0 && out.includes('/etc/passwd'),
    },
  }),
  template: () => ({ run: ssh('+soak', 't', 'echo fresh'), good: ({ code, out }) => code === 0 && out === 'fresh\n' }),
}

async function visit(kind) {
  const {
    run: [program, args],
    input = '',
    good,
  } = KINDS[kind]()
  const began = Date.now()
  const child = spawn(program, args, { stdio: 'pipe' })
  const [out, err] = [child.stdout, child.stderr].map((stream) => {
    const text = { text: '' }
    stream.setEncoding('utf8').on('data', (part) => {
      text.text = (text.text + part).slice(0, 100_000)
    })
    return text
  })
  child.stdin.on('error', () => {})
  child.stdin.end(input)
  let isKilled = false
  const limit = setTimeout(() => child.kill('SIGKILL'), SESSION_MS)
  const killing =
    randomInt(6) === 0 &&
    setTimeout(
      () => {
        isKilled = true
        child.kill('SIGKILL')
      },
      randomInt(50, 3000),
    )
  const code = await new Promise((done) => child.once('close', done))
  clearTimeout(limit)
  clearTimeout(killing)
  counts.sessions++
  kinds.set(kind, (kinds.get(kind) ?? 0) + 1)
  if (isKilled && code === null) counts.killedClients++
  else if (!good({ code, out: out.text })) {
    // Where nobody listens a client fails at once.
    await sleep(500)
    counts.failed++
    // A client that came before the next gateway listened, or was served by the one that was killed.
    const isExplained = kills.some(({ from, to }) => began <= to && Date.now() >= from)
    if (!isExplained)
      unexplained.push({ kind, code, ms: Date.now() - began, out: out.text.slice(0, 200), err: err.text.slice(0, 300) })
  }
}

async function worker() {
  const names = Object.keys(KINDS)
  while (!isOver) await visit(names[randomInt(names.length)])
}

/** Hands over, and now and then kills the gateway that serves, or all. */
async function unrest() {
  for (let round = 1; !isOver; round++) {
    for (let waited = 0; waited < RESTART_MS && !isOver; waited += 250) await sleep(250)
    if (isOver) return
    if (round % 3 !== 0) {
      const done = await hatchway('restart').catch((error) => error)
      if (done instanceof Error) unexplained.push({ kind: 'restart', err: `${done.message} ${done.stderr}` })
      else counts.restarts++
      continue
    }
    const { pid } = await serving()
    const kill = { from: Date.now(), to: Number.POSITIVE_INFINITY }
    kills.push(kill)
    process.kill(pid, 'SIGKILL')
    counts.killedGateways++
    // What started it first ends with it, once the old ones have none left, as a supervisor sees it.
    await first.ended
    first = startGateway(`127.0.0.1:${port}`)
    const from = log.length
    await until(
      'the next gateway listens',
      async () => log.slice(from).includes('"listening"') || log.endsWith('never'),
    )
    kill.to = Date.now()
  }
}

// --- before and after -------------------------------------------------------------------------------------------------

/** What is left of it all once nobody does anything. */
async function inside() {
  const processes = await docker('top', name, '-eo', 'pid,args').then(argvs)
  const execs = JSON.parse(await docker('inspect', '-f', '{{json .ExecIDs}}', name)) ?? []
  const fresh = await docker('ps', '-aq', '--filter', 'label=hatchway.template=soak')
  return JSON.stringify({ processes, execs: execs.length, fresh })
}

/** Without the pids, and the sleep that the container's first program begins anew now and then. */
function argvs(text) {
  const lines = text.split('\n').slice(1)
  return lines.map((line) => line.trim().replace(/^\d+ +/, '')).sort()
}

function descriptors(pid) {
  return readdirSync(`/proc/${pid}/fd`).length
}

function megabytes(pid) {
  return Math.round(Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024)
}

const ECHO = `import socket,threading
s=socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind(("127.0.0.1",7777)); s.listen(99)
def serve(c):
  try: c.sendall(c.recv(100))
  finally: c.close()
while 1: threading.Thread(target=serve, args=(s.accept()[0],)).start()`

async function prepare() {
  await exec('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(folder, 'id')])
  copyFileSync(join(folder, 'id.pub'), join(folder, 'authorized'))
  writeFileSync(join(folder, 'payload'), payload)
  writeFileSync(
    join(folder, 'c.yaml'),
    `authorizedKeys: [${folder}/authorized]\nkeysDirectory: ${folder}/keys\ncontrolSocket: ${socket}\nengine: { kind: docker }\n` +
      `templates: { soak: { image: 'hatchway-busybox:latest', user: dev, perIdentity: 100 } }\n`,
  )
  await docker('run', '-d', '--name', name, '--label', 'hatchway.soak=1', 'hatchway-debian:latest')
  await docker('exec', '-d', name, 'python3', '-c', ECHO)
  first = startGateway('127.0.0.1:0')
  const slow = await until('the gateway listens', async () => /"msg":"listening"/.test(log))
  if (slow) throw new Error(`${slow}\n${log}`)
  port = Number(/"port":(\d+),"msg":"listening"/.exec(log)?.[1])
  const lines = [
    'HostName 127.0.0.1',
    `Port ${port}`,
    `IdentityFile ${folder}/id`,
    'IdentitiesOnly yes',
    'BatchMode yes',
  ]
  const more = [
    'StrictHostKeyChecking accept-new',
    `UserKnownHostsFile ${folder}/known`,
    'LogLevel ERROR',
    'ControlPath none',
  ]
  writeFileSync(join(folder, 'config'), `Host t\n${[...lines, ...more].map((line) => `  ${line}\n`).join('')}`)
}

const problems = []
try {
  await prepare()
  const before = await inside()
  for (const kind of Object.keys(KINDS)) await visit(kind)
  await sleep(2000)
  const { pid: early } = await serving()
  const [fewDescriptors, fewMegabytes] = [descriptors(early), megabytes(early)]

  const over = sleep(MINUTES * 60_000).then(() => {
    isOver = true
  })
  await Promise.all([over, unrest(), ...Array.from({ length: WORKERS }, worker)])

  // The sweep of a new gateway finds what killed ones left.
  await hatchway('restart')
  const { pid } = await serving()
  const rest = await until('sessions', async () => {
    const { sessions } = await serving()
    return sessions.length === 0 || sessions
  })
  if (rest) problems.push(rest)
  const allowed = fewDescriptors + 8
  const open = await until(
    'descriptors',
    async () => descriptors(pid) <= allowed || `${descriptors(pid)} of ${allowed}`,
  )
  if (open) problems.push(open)
  counts.megabytes = `${fewMegabytes} at first, ${megabytes(pid)} at last`
  const names = await until('control sockets', async () => {
    const found = readdirSync(folder).filter((file) => file.startsWith('c.sock'))
    return found.join() === 'c.sock' || found
  })
  if (names) problems.push(names)
  first.kill('SIGTERM')
  await first.ended
  const left = await until(
    'in the engine',
    async () => (await inside()) === before || `${await inside()} and was ${before}`,
    2 * SETTLE_MS,
  )
  if (left) problems.push(left)
  const running = [...log.matchAll(/"pid":(\d+),"node"/g)].map(([, found]) => Number(found)).filter(lives)
  if (running.length > 0) problems.push(`gateways that run on: ${running}`)
  const sockets = readdirSync(join(folder, 'keys/state/instances'))
  if (sockets.length > counts.killedGateways) problems.push(`sockets of instances: ${sockets.length}`)
  const faults = log.split('\n').filter((line) => line.includes('a fault of ours'))
  if (faults.length > 0) problems.push(`faults: ${faults.length}, the first: ${faults[0]?.slice(0, 1000)}`)
} finally {
  for (const [, pid] of log.matchAll(/"pid":(\d+),"node"/g))
    if (lives(Number(pid))) process.kill(Number(pid), 'SIGKILL')
  await docker('rm', '-f', name).catch(() => {})
  const fresh = await docker('ps', '-aq', '--filter', 'label=hatchway.template=soak').catch(() => '')
  if (fresh !== '') await docker('rm', '-f', ...fresh.split('\n')).catch(() => {})
  rmSync(folder, { recursive: true, force: true })
}
console.log(JSON.stringify({ ...counts, ...Object.fromEntries(kinds) }))
for (const one of unexplained) console.log(`without a cause: ${JSON.stringify(one)}`)
for (const one of problems) console.log(`left: ${one}`)
process.exit(problems.length + unexplained.length > 0 ? 1 : 0)
