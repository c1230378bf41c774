// A connection through -L and one byte there and back.
import { connect, createServer } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { background, end, timed, until } from '../command.mjs'
import { CPU_FIGURES, withCpu } from '../cpu.mjs'
import { memoryOf } from '../proc.mjs'
import { connectClient, forwardOut } from '../ssh-client.mjs'
import { onClose } from '../stop.mjs'

const PORT = 7007
const LIMIT = 10_000
/** A gateway lives for weeks: its code is compiled, as sshd's always is. */
const WARM = 2000
const BULK_PORT = 7008
const IDLE_PORT = 7009
const IDLE = 200
/** Zeros to each connection, as many as its line says. */
const ZEROS = `use IO::Socket::INET;
my $listener = IO::Socket::INET->new(LocalPort => ${BULK_PORT}, Listen => 64, ReuseAddr => 1) or die;
my $block = "\\0" x 262144;
while (my $client = $listener->accept) {
  my $left = <$client>;
  while ($left > 0) { my $sent = syswrite($client, $block, $left < 262144 ? $left : 262144) or last; $left -= $sent }
  close $client;
}`
/** Says nothing and keeps everybody. */
const KEEP = `use IO::Socket::INET;
my $listener = IO::Socket::INET->new(LocalPort => ${IDLE_PORT}, Listen => 512, ReuseAddr => 1) or die;
my @kept;
while (my $client = $listener->accept) { push @kept, $client }`
// Any address: without a helper the gateway reaches a container's port at the container's own address.
const ECHO = `use IO::Socket::INET;
my $listener = IO::Socket::INET->new(LocalPort => ${PORT}, Listen => 64, ReuseAddr => 1) or die;
my $byte;
while (my $client = $listener->accept) { sysread($client, $byte, 1) and syswrite($client, $byte); close $client }`

export const forwardRow = {
  key: 'forward',
  targets: ['exec', 'sshd', 'docker', 'guest', 'stream', 'cli'],
  figures: [
    {
      key: 'ms',
      title: 'connect + one byte through -L',
      unit: 'ms',
      percentile: 50,
      goals: ['docker', 'guest', 'cli'].map((target) => ({ target, against: 'sshd', most: 1.5, from: '#6' })),
    },
    ...CPU_FIGURES,
  ],
  async prepare(target) {
    const { name } = target.container
    await timed(['docker', 'exec', '-d', name, 'perl', '-e', ECHO])
    // The nearest thing without forwarding.
    if (!target.login) return viaExec(target)
    const { client, port, close } = await openForward(target, PORT)
    try {
      await until('the forward answers', () => {
        if (client.over) throw Object.assign(new Error(client.said), { final: true })
        return oneByte(port)
      })
      // A helper goes over to its direct path after a second.
      await delay(2500)
      for (let i = 0; i < WARM; i++) await oneByte(port)
    } catch (error) {
      await close()
      // "channel 1: open failed: ..."; the host key's line comes first.
      throw new Error(client.said.trim().split('\n').at(-1) || error.message)
    }
    return { sample: () => several(target, port), note: target.dataPath, close }
  },
}

/** What -L carries, held against the same target's own exec in the same round. */
export const forwardBulkRow = {
  key: 'forward-bulk',
  targets: ['sshd', 'guest', 'stream'],
  figures: [
    { key: 'rate', title: 'bulk out through -L', unit: 'MB/s', goals: [] },
    { key: 'exec', title: '  bulk out of an exec beside it', unit: 'MB/s', goals: [] },
    { key: 'share', title: '  -L to its own exec', unit: 'x', goals: [{ target: 'guest', least: 0.8, from: '#6' }] },
  ],
  async prepare(target, { megabytes }) {
    const bytes = megabytes * 1e6
    await timed(['docker', 'exec', '-d', target.container.name, 'perl', '-e', ZEROS])
    const { port, close } = await openForward(target, BULK_PORT)
    const run = target.argv(`cat /dev/zero | head -c ${bytes}`)
    try {
      await until('the forward answers', () => drain(port, 32e6))
    } catch (error) {
      await close()
      throw error
    }
    return {
      async sample() {
        const rate = bytes / 1000 / (await drain(port, bytes))
        const exec = bytes / 1000 / (await timed(run))
        return { rate, exec, share: rate / exec }
      },
      note: target.dataPath,
      close,
    }
  },
}

export const forwardIdleRow = {
  key: 'forward-idle',
  targets: ['guest'],
  rounds: 3,
  figures: [
    {
      key: 'each',
      title: `memory of the gateway for one of ${IDLE} idle forwarded connections`,
      unit: 'KB',
      goals: [{ target: 'guest', most: 20, from: '#6' }],
    },
  ],
  async prepare(target, { keys, scale }) {
    const count = Math.max(1, Math.round(IDLE * scale))
    await timed(['docker', 'exec', '-d', target.container.name, 'perl', '-e', KEEP])
    return {
      async sample() {
        const client = await connectClient(target.login, keys)
        client.on('error', () => {})
        const open = () => forwardOut(client, IDLE_PORT)
        try {
          // What the first ones load is no cost of a connection.
          for (const { stream } of await many(50, () => until('the server listens', open))) stream.destroy()
          await delay(5000)
          const before = memoryOf(target.gatewayPid)
          await many(count, open)
          await delay(5000)
          return { each: (memoryOf(target.gatewayPid) - before) / count }
        } finally {
          client.end()
        }
      },
    }
  },
}

async function many(count, open) {
  const opened = []
  for (let i = 0; i < count; i++) opened.push(await open())
  return opened
}

async function openForward(target, inside) {
  const port = await freePort()
  const where = ['-N', '-L', `127.0.0.1:${port}:127.0.0.1:${inside}`, 't']
  const client = background(['ssh', '-o', 'LogLevel=INFO', '-F', target.config, ...where])
  return { client, port, close: onClose(() => end(client)) }
}

/** Milliseconds until so many bytes came. */
function drain(port, bytes) {
  return new Promise((resolve, reject) => {
    const began = performance.now()
    let left = bytes
    const socket = connect({
      port,
      host: '127.0.0.1',
      // Read into one buffer: what is measured is not this process.
      onread: {
        buffer: Buffer.alloc(1 << 20),
        callback: (length) => {
          left -= length
          return true
        },
      },
    })
    socket.write(`${bytes}\n`)
    socket.setTimeout(60_000, () => socket.destroy(new Error('the forward stands still')))
    socket.once('error', reject)
    socket.once('close', () => {
      if (left === 0) resolve(performance.now() - began)
      else reject(new Error(`${left} bytes are missing`))
    })
  })
}

async function viaExec(target) {
  const argv = target.argv(`printf x | nc -N 127.0.0.1 ${PORT} | grep -q x`)
  await until('the echo server answers', () => timed(argv))
  return { sample: async () => ({ ms: await timed(argv) }), note: () => 'docker exec with nc inside' }
}

/** Ten in a row: the CPU of one is too little to be read. */
async function several(target, port) {
  const ms = []
  const { server, all } = await withCpu(target, async () => {
    for (let i = 0; i < 10; i++) ms.push(await oneByte(port))
  })
  return { ms, ...(server !== undefined && { server: server * 100 }), all: all * 100 }
}

function oneByte(port) {
  return new Promise((resolve, reject) => {
    const began = performance.now()
    const socket = connect({ port, host: '127.0.0.1', noDelay: true }, () => socket.write('x'))
    socket.setTimeout(LIMIT, () => socket.destroy(new Error('no answer through the forward')))
    socket.once('data', () => {
      resolve(performance.now() - began)
      socket.destroy()
    })
    socket.once('error', reject)
    socket.once('close', () => reject(new Error('the forward was closed')))
  })
}

function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address()
      server.close(() => resolve(port))
    })
  })
}
