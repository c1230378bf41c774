// How a connection could come to one of several processes, over a whole login: node bench/processes.mjs (after npm run build).
// `one`: the process that listens serves. `handed`: it accepts, decides who may begin, and hands the unread socket to
// one of PROCESSES. `shared`: those accept on its listening socket, and ask it who may begin. Rounds are interleaved.
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { command, connectClient } from './lib/bare-client.mjs'
import { median, pairedRatio, percentile } from './lib/stats.mjs'

const SELF = fileURLToPath(import.meta.url)
const PROCESSES = Number(process.env.PROCESSES ?? 2)
const ROUNDS = Number(process.env.ROUNDS ?? 12)
const LOGINS = Number(process.env.LOGINS ?? 60)
const AT_ONCE = 8
const WAYS = ['one', 'handed', 'shared']
/** For each process: what serves compiles its code first. */
const WARM_LOGINS = 300

const roles = { listen, serve, 'log-in': logIn }
await (roles[process.argv[2]] ?? main)(...process.argv.slice(3))

async function main() {
  const folder = mkdtempSync(join(tmpdir(), 'hw-bench-processes-'))
  const targets = []
  try {
    for (const name of ['host', 'user'])
      await command('ssh-keygen', '-q', '-N', '', '-t', 'ed25519', '-f', join(folder, name))
    for (const way of WAYS) targets.push(await start(way, folder))
    for (const target of targets) await some(target, folder, WARM_LOGINS * target.shares().length, AT_ONCE)
    for (let round = 0; round < ROUNDS; round++)
      for (const target of targets) {
        const cpu = target.cpu()
        const one = await some(target, folder, LOGINS, 1)
        target.p50.push(median(one))
        target.p90.push(percentile(one, 90))
        const before = target.shares()
        const from = performance.now()
        await some(target, folder, LOGINS, AT_ONCE)
        target.rate.push((LOGINS * 1000) / (performance.now() - from))
        target.cpuEach.push(((target.cpu() - cpu) * 1000) / (2 * LOGINS))
        const spent = target.shares().map((each, i) => each - before[i])
        target.busiest.push(Math.max(...spent) / spent.reduce((sum, each) => sum + each, 0))
      }
    report(targets)
  } finally {
    for (const { child } of targets) child.kill()
    rmSync(folder, { recursive: true, force: true })
  }
}

function report(targets) {
  const [one] = targets
  console.log(
    `login + exec: p50 ms, p90 ms, x one; ${AT_ONCE} at once: logins/s, x one; CPU ms of all; busiest; MB of all`,
  )
  for (const target of targets) {
    const { way, p50, p90, rate, cpuEach, busiest } = target
    const figures = [
      ...[median(p50).toFixed(1), median(p90).toFixed(1), pairedRatio(p50, one.p50).toFixed(2)],
      ...[median(rate).toFixed(0), pairedRatio(rate, one.rate).toFixed(2), median(cpuEach).toFixed(1)],
      ...[
        `${(median(busiest) * 100).toFixed(0)} %`,
        target.pids.reduce((sum, pid) => sum + megabytes(pid), 0).toFixed(0),
      ],
    ]
    console.log([way.padEnd(8), ...figures.map((figure) => figure.padStart(7))].join(''))
  }
}

async function start(way, folder) {
  const child = fork(SELF, ['listen', way, join(folder, 'host'), join(folder, 'user.pub')])
  const [{ port, serving }] = await once(child, 'message')
  const pids = [...new Set([child.pid, ...serving])]
  return {
    ...{ way, child, port, pids, p50: [], p90: [], rate: [], cpuEach: [], busiest: [] },
    cpu: () => pids.reduce((sum, pid) => sum + cpuSeconds(pid), 0),
    shares: () => serving.map(cpuSeconds),
  }
}

// Servers.

async function listen(way, ...keys) {
  process.on('disconnect', () => process.exit())
  const listener = createServer({ noDelay: true, pauseOnConnect: way === 'handed' })
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const { port } = listener.address()
  if (way === 'one') {
    const take = await openServer(...keys)
    listener.on('connection', take)
    process.send({ port, serving: [process.pid] })
    return
  }
  const children = []
  for (let i = 0; i < PROCESSES; i++) {
    const child = fork(SELF, ['serve', way, ...keys])
    await once(child, 'message')
    // What is decided here is a map's entry or two: the road is what costs.
    child.on('message', ({ ask }) => child.send({ granted: ask }))
    if (way === 'shared') child.send('listen', listener)
    children.push(child)
  }
  if (way === 'shared') listener.close()
  let next = 0
  listener.on('connection', (socket) => children[next++ % children.length].send('take', socket))
  process.send({ port, serving: children.map(({ pid }) => pid) })
}

async function serve(way, ...keys) {
  process.on('disconnect', () => process.exit())
  const take = await openServer(...keys)
  const asking = new Map()
  let asked = 0
  process.on('message', (word, handle) => {
    if (word === 'take') {
      if (handle) take(handle)
    } else if (word === 'listen') {
      handle.on('connection', (socket) => {
        socket.setNoDelay().pause()
        asking.set(++asked, socket)
        process.send({ ask: asked })
      })
    } else {
      take(asking.get(word.granted))
      asking.delete(word.granted)
    }
  })
  process.send('ready')
}

/** Returns what takes a socket. */
async function openServer(hostKey, userKey) {
  const { createSshServer } = await import('../dist/ssh/server.js')
  const { loadConfig } = await import('../dist/config/load.js')
  const { limits } = loadConfig({ file: '/dev/null', env: {} }).config
  const blob = Buffer.from(readFileSync(userKey, 'utf8').split(' ')[1], 'base64')
  const server = createSshServer({
    hostKeys: [{ file: hostKey, bytes: readFileSync(hostKey) }],
    ciphers: ['aes128-gcm@openssh.com'],
    limits: () => limits,
    authenticator: { publicKey: async (key) => (key.blob.equals(blob) ? 'bench' : undefined) },
    observe: () => {},
    connection: () => ({
      allow: () => true,
      session(session) {
        session.accept()
        session.exit({ code: 0 })
      },
    }),
  })
  return (socket) => {
    const { remoteAddress: address, remotePort: port, localAddress, localPort } = socket
    void server.inject(socket, { address, port }, { address: localAddress, port: localPort })
  }
}

// Clients.

/** Milliseconds of each. In a process of its own, for this one's pauses are not the server's. */
async function some({ port }, folder, count, atOnce) {
  return JSON.parse(await command(process.execPath, SELF, 'log-in', port, join(folder, 'user'), count, atOnce))
}

async function logIn(port, key, count, atOnce) {
  const each = []
  let left = Number(count)
  const one = async () => {
    while (left-- > 0) {
      const from = performance.now()
      const client = await connectClient({ port, key })
      const channel = await new Promise((resolve, reject) =>
        client.exec('true', (error, opened) => (error ? reject(error) : resolve(opened))),
      )
      channel.resume()
      await once(channel, 'close')
      each.push(performance.now() - from)
      client.end()
      await once(client, 'close')
    }
  }
  await Promise.all(Array.from({ length: Number(atOnce) }, one))
  process.stdout.write(JSON.stringify(each))
}

// Measuring.

/** By the scheduler's own clock, of all threads: stat's is in hundredths. */
function cpuSeconds(pid) {
  const threads = readdirSync(`/proc/${pid}/task`)
  const nanoseconds = threads.map((thread) =>
    Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ')[0]),
  )
  return nanoseconds.reduce((sum, each) => sum + each, 0) / 1e9
}

function megabytes(pid) {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]) / 1024
}
