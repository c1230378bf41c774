// What the SSH layer itself costs, without any container: node bench/ssh-layer.mjs (after npm run build).
// Zeros written by the server itself, beside sshd where it is installed; logins; idle sessions. Rounds are interleaved,
// medians are printed; CPU is the server's process alone, in seconds per GB, which a busy machine disturbs least.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { createServer } from 'node:net'
import { tmpdir, userInfo } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { command, connectClient } from './lib/bare-client.mjs'

const SELF = fileURLToPath(import.meta.url)
const SSHD = '/usr/sbin/sshd'
const MEGABYTES = Number(process.env.MB ?? 400)
const ROUNDS = Number(process.env.ROUNDS ?? 5)
const LOGINS = Number(process.env.LOGINS ?? 100)
const LOGIN_ROUNDS = 15
const LOGIN_LAST = 5
const IDLE = Number(process.env.IDLE ?? 300)
const CIPHER = process.env.CIPHER ?? 'aes128-gcm@openssh.com'
/** node reads a socket in pieces of at most so much. */
const CHUNK = 64 * 1024
const KEX = process.env.KEX ?? 'curve25519-sha256'

const roles = { serve, 'serve-stock': serveStock, 'log-in': logIn, 'stay-idle': stayIdle, drain }
await (roles[process.argv[2]] ?? main)(...process.argv.slice(3))

async function main() {
  const folder = mkdtempSync(join(tmpdir(), 'hw-bench-ssh-'))
  const running = []
  try {
    for (const name of ['host', 'user'])
      await command('ssh-keygen', '-q', '-N', '', '-t', 'ed25519', '-f', join(folder, name))
    const ours = await startOurs(folder, running, 'src/ssh', 'serve')
    const stock = await startOurs(folder, running, 'stock ssh2', 'serve-stock')
    const targets = [ours, stock]
    targets.push(await startSshd(folder, running))
    await zeros(folder, targets, 'to OpenSSH', download)
    await zeros(folder, targets, 'to a client that only counts', countOnly)
    await logins(folder, [ours, stock])
    await idle(folder, ours)
  } finally {
    for (const child of running) child.kill()
    rmSync(folder, { recursive: true, force: true })
  }
}

async function zeros(folder, targets, title, fetch) {
  const results = new Map(targets.map((target) => [target, []]))
  for (let round = 0; round < ROUNDS; round++) {
    for (const target of targets) {
      const cpu = target.cpu()
      const from = performance.now()
      const bytes = await fetch(folder, target)
      if (bytes !== MEGABYTES * 1e6) throw new Error(`${target.name}: ${bytes} bytes`)
      // sshd's children are counted when they are reaped.
      const seconds = (performance.now() - from) / 1000
      await new Promise((resolve) => setTimeout(resolve, 200))
      results.get(target).push({ rate: MEGABYTES / seconds, cpu: ((target.cpu() - cpu) / MEGABYTES) * 1000 })
    }
  }
  console.log(
    `\nzeros ${title}, ${ROUNDS} x ${MEGABYTES} MB, ${CIPHER}\n${''.padEnd(44)}  MB/s  server CPU s/GB  packets per CPU s`,
  )
  for (const [target, rounds] of results) {
    const cpu = median(rounds.map((round) => round.cpu))
    const rate = median(rounds.map((round) => round.rate))
    console.log(
      `${target.name.padEnd(44)} ${rate.toFixed(0).padStart(5)} ${cpu.toFixed(2).padStart(16)} ${(1e9 / 32768 / cpu).toFixed(0).padStart(18)}`,
    )
  }
  const [ours, ...others] = targets
  for (const other of others) {
    const ratio = (key) =>
      median(results.get(ours).map((round, i) => round[key] / results.get(other)[i][key])).toFixed(2)
    console.log(`${ours.name} to ${other.name}, medians of rounds: rate x ${ratio('rate')}, CPU x ${ratio('cpu')}`)
  }
}

/** A process that has just begun compiles what it runs; one that has served a thousand has done that. */
async function logins(folder, targets) {
  const figures = new Map(targets.map((target) => [target, []]))
  const some = (target, count) => role('log-in', target.port, join(folder, 'user'), count)
  for (const target of targets) await some(target, 40)
  for (let round = 0; round < LOGIN_ROUNDS; round++) {
    for (const target of targets) {
      const cpu = target.cpu()
      await some(target, LOGINS)
      figures.get(target).push(((target.cpu() - cpu) * 1000) / LOGINS)
    }
  }
  console.log(
    `\nlogin + exec, ${KEX}, ms of server CPU: the first ${2 * LOGINS} after 40, the last ${LOGIN_LAST * LOGINS}`,
  )
  for (const [target, each] of figures) {
    const [first, last] = [each.slice(0, 2), each.slice(-LOGIN_LAST)].map(median)
    console.log(`${target.name.padEnd(44)} ${first.toFixed(1).padStart(5)} ${last.toFixed(1).padStart(6)}`)
  }
}

async function idle(folder, target) {
  // The heap grows in steps, whose first are not these sessions' own.
  const warm = await stay(folder, target, 200)
  const before = { held: await target.held(), resident: target.memory() }
  const measured = await stay(folder, target, IDLE)
  const held = ((await target.held()) - before.held) / IDLE
  const resident = (target.memory() - before.resident) / IDLE
  console.log(
    `idle session with its connection, ${IDLE} of them: holds ${held.toFixed(0)} KB; the process grew by ${resident.toFixed(0)} KB each`,
  )
  warm.kill()
  measured.kill()
}

async function stay(folder, target, count) {
  const child = spawn(process.execPath, [SELF, 'stay-idle', target.port, join(folder, 'user'), count], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  await once(child.stdout, 'data')
  await new Promise((resolve) => setTimeout(resolve, 1000))
  return child
}

// Servers.

async function startOurs(folder, running, name, role) {
  const child = spawn(process.execPath, ['--expose-gc', SELF, role, join(folder, 'host'), join(folder, 'user.pub')], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  running.push(child)
  const [line] = await once(child.stdout, 'data')
  return { name, port: Number(line), user: 'bench', command: 'zeros', held: () => heldBy(child), ...gauges(child.pid) }
}

/** This machine's, else that of the test image on this machine's network. */
async function startSshd(folder, running) {
  const port = await freePort()
  const config = join(folder, 'sshd_config')
  writeFileSync(
    config,
    `Port ${port}\nListenAddress 127.0.0.1\nHostKey ${join(folder, 'host')}\nAuthorizedKeysFile ${join(folder, 'user.pub')}\nStrictModes no\nPidFile none\nUsePAM no\n`,
  )
  const local = existsSync(SSHD)
  const [user, pid] = local
    ? [userInfo().username, startHere(config, running)]
    : ['root', await startInImage(folder, config, running)]
  await new Promise((resolve) => setTimeout(resolve, 1000))
  return { name: 'sshd + head', port, user, command: `head -c ${MEGABYTES}000000 /dev/zero`, ...gauges(pid) }
}

function startHere(config, running) {
  mkdirSync('/run/sshd', { recursive: true })
  const child = spawn(SSHD, ['-D', '-f', config], { stdio: 'ignore' })
  running.push(child)
  return child.pid
}

async function startInImage(folder, config, running) {
  const name = `hw-bench-sshd-${process.pid}`
  const script = `mkdir -p /run/sshd; exec ${SSHD} -D -f ${config}`
  const place = ['--network', 'host', '-v', `${folder}:${folder}:ro`, '--entrypoint', 'sh']
  await command('docker', 'run', '-d', '--rm', '--name', name, ...place, 'hatchway-debian', '-c', script)
  running.push({ kill: () => spawn('docker', ['rm', '-f', name], { stdio: 'ignore' }) })
  return Number(await command('docker', 'inspect', '-f', '{{.State.Pid}}', name))
}

async function serve(hostKey, userKey) {
  endWithParent()
  const { createSshServer } = await import('../dist/ssh/server.js')
  const { loadConfig } = await import('../dist/config/load.js')
  const { limits } = loadConfig({ file: '/dev/null', env: {} }).config
  const blob = Buffer.from(readFileSync(userKey, 'utf8').split(' ')[1], 'base64')
  const server = createSshServer({
    hostKeys: [{ file: hostKey, bytes: readFileSync(hostKey) }],
    ciphers: [CIPHER],
    limits: () => ({ ...limits, maxStartups: { start: 1000, rate: 30, full: 2000 } }),
    authenticator: { publicKey: async (key) => (key.blob.equals(blob) ? 'bench' : undefined) },
    observe: () => {},
    connection: () => ({
      allow: () => true,
      session(session) {
        session.accept()
        const name = session.start.kind === 'exec' ? session.start.command.toString() : ''
        if (name === 'true') session.exit({ code: 0 })
        if (name !== 'zeros') return
        const chunk = Buffer.alloc(256 * 1024)
        let left = MEGABYTES * 1e6
        const write = () => {
          while (left > 0) {
            const part = left < chunk.length ? chunk.subarray(0, left) : chunk
            left -= part.length
            if (!session.write(1, part)) return
          }
          session.exit({ code: 0 })
        }
        session.listen({ drain: write })
        write()
      },
    }),
  })
  process.on('SIGUSR2', () => {
    gc()
    const { heapUsed, external } = process.memoryUsage()
    process.stdout.write(`${heapUsed + external}\n`)
  })
  const { port } = await server.listen('127.0.0.1', 0)
  process.stdout.write(`${port}\n`)
}

/** Its end of our standard input closes with it, however it ends. */
function endWithParent() {
  process.stdin.resume().on('close', () => process.exit())
}

/** The same on ssh2's own server, without the layer. */
async function serveStock(hostKey, userKey) {
  endWithParent()
  const { Server, utils } = createRequire(import.meta.url)('ssh2')
  const known = utils.parseKey(readFileSync(userKey))
  const config = { hostKeys: [readFileSync(hostKey)], algorithms: { cipher: [CIPHER] } }
  const server = new Server(config, (client) => {
    client.on('error', () => {})
    client.on('authentication', (context) => {
      if (context.method !== 'publickey' || !known.getPublicSSH().equals(context.key.data))
        context.reject(['publickey'])
      else if (!context.signature || known.verify(context.blob, context.signature, context.hashAlgo)) context.accept()
      else context.reject()
    })
    client.on('session', (accept) => {
      accept().on('exec', async (acceptExec, _reject, { command }) => {
        const channel = acceptExec()
        channel.resume()
        const chunk = Buffer.alloc(256 * 1024)
        for (let left = command === 'zeros' ? MEGABYTES * 1e6 : 0; left > 0; left -= chunk.length) {
          const part = left < chunk.length ? chunk.subarray(0, left) : chunk
          if (!channel.write(part)) await once(channel, 'drain')
        }
        if (command === 'wait') return
        channel.exit(0)
        channel.end()
      })
    })
  })
  server.listen(0, '127.0.0.1', () => process.stdout.write(`${server.address().port}\n`))
}

// Clients.

async function download(folder, target) {
  const options = [
    '-F',
    'none',
    '-c',
    CIPHER,
    '-o',
    `KexAlgorithms=${KEX}`,
    '-o',
    'BatchMode=yes',
    '-o',
    'StrictHostKeyChecking=no',
  ]
  const files = [
    '-o',
    `UserKnownHostsFile=${join(folder, 'known_hosts')}`,
    '-i',
    join(folder, 'user'),
    '-o',
    'LogLevel=ERROR',
  ]
  const where = ['-p', String(target.port), '-l', target.user, '127.0.0.1', target.command]
  // wc counts in a process of its own: reading the bytes here would cost more than sending them.
  const counted = await command('sh', '-c', '"$@" | wc -c', 'sh', 'ssh', ...options, ...files, ...where)
  return Number(counted)
}

/** OpenSSH's client deciphers slower than a server enciphers: it would be the client that is measured. */
async function countOnly(folder, target) {
  await role('drain', target.port, join(folder, 'user'), target.user, target.command)
  return MEGABYTES * 1e6
}

/**
 * Logs in, gives the whole window at once, and then counts what comes on the socket without looking into it. ssh2's
 * client cannot be told the window: the channel is opened by its protocol object.
 */
async function drain(port, key, user, command) {
  const client = await connectTo(port, key, user)
  const protocol = client._protocol
  const done = new Promise((resolve) => {
    Object.assign(protocol._handlers, {
      CHANNEL_OPEN_CONFIRMATION: (_, { sender }) => protocol.exec(sender, command, true),
      CHANNEL_SUCCESS: () => {
        let bytes = 0
        const count = (chunk) => {
          bytes += chunk.length
          if (bytes >= MEGABYTES * 1e6 - CHUNK) resolve()
        }
        // What is behind this packet in its chunk is not counted.
        client._sock.removeAllListeners('data')
        client._sock.on('data', count)
      },
    })
  })
  protocol.session(0, 0xffffffff, 32768)
  await done
  process.exit()
}

function connectTo(port, key, user) {
  return connectClient({ port, key, user, kex: KEX, cipher: CIPHER })
}

async function logIn(port, key, count) {
  for (let i = 0; i < Number(count); i++) {
    const client = await connectTo(port, key)
    const channel = await new Promise((resolve, reject) =>
      client.exec('true', (error, opened) => (error ? reject(error) : resolve(opened))),
    )
    channel.resume()
    await once(channel, 'close')
    client.end()
    await once(client, 'close')
  }
}

async function stayIdle(port, key, count) {
  for (let i = 0; i < Number(count); i++) {
    const client = await connectTo(port, key)
    await new Promise((resolve, reject) => client.exec('wait', (error) => (error ? reject(error) : resolve())))
  }
  process.stdout.write('ready\n')
}

function role(...args) {
  return command(process.execPath, SELF, ...args)
}

// Measuring.

function gauges(pid) {
  return {
    /** Seconds, children that ended included. */
    cpu() {
      const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/.*\) /, '').split(' ')
      return [11, 12, 13, 14].reduce((sum, i) => sum + Number(fields[i]), 0) / 100
    },
    /** KB. */
    memory: () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))[1]),
  }
}

/** KB of objects and buffers in use, after a garbage collection. */
async function heldBy(child) {
  child.kill('SIGUSR2')
  const [line] = await once(child.stdout, 'data')
  return Number(line) / 1024
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  server.close()
  return port
}

function median(values) {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)]
}
