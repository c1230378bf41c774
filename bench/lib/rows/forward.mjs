// A connection through -L and one byte there and back.
import { connect, createServer } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { background, end, timed, until } from '../command.mjs'
import { CPU_FIGURES, withCpu } from '../cpu.mjs'
import { onClose } from '../stop.mjs'

const PORT = 7007
const LIMIT = 10_000
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
    const port = await freePort()
    const client = background([
      'ssh',
      '-o',
      'LogLevel=INFO',
      '-F',
      target.config,
      '-N',
      '-L',
      `127.0.0.1:${port}:127.0.0.1:${PORT}`,
      't',
    ])
    const close = onClose(() => end(client))
    try {
      await until('the forward answers', () => {
        if (client.over) throw Object.assign(new Error(client.said), { final: true })
        return oneByte(port)
      })
      // A helper goes over to its direct path after a second.
      await delay(2500)
      await oneByte(port)
    } catch (error) {
      await close()
      // "channel 1: open failed: ..."; the host key's line comes first.
      throw new Error(client.said.trim().split('\n').at(-1) || error.message)
    }
    return { sample: () => several(target, port), note: target.dataPath, close }
  },
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
