// ssh2's own server, unaugmented, doing what our tests ask of the layer: shows that the bugs named there are real.
// Prints its port; runs the command it is sent as a scenario.
import { generateKeyPairSync } from 'node:crypto'
import ssh2 from 'ssh2'

const hostKey = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey.export({ format: 'pem', type: 'sec1' })
const end = (channel, status) => {
  channel.exit(status)
  channel.end()
}

const scenarios = {
  // What src/session/pump.ts does: give no more until the stream took what it has.
  async 'mixed-output'(channel, rounds, size) {
    const chunk = Buffer.alloc(Number(size), 'x')
    for (let i = 0; i < Number(rounds); i++) {
      const took = new Promise((resolve) => channel.write(chunk, resolve))
      channel.stderr.write(`line ${i}\n`)
      await took
    }
    end(channel, 0)
  },
  'stderr-then-exit'(channel, size) {
    channel.stderr.write(Buffer.alloc(Number(size), 'e'))
    end(channel, 0)
  },
  async zeros(channel, size) {
    const chunk = Buffer.alloc(64 * 1024)
    for (let left = Number(size); left > 0; left -= chunk.length) {
      if (!channel.write(chunk)) await new Promise((resolve) => channel.once('drain', resolve))
      else if (left % (1024 * 1024) === 0) await new Promise((resolve) => setImmediate(resolve))
    }
    end(channel, 0)
  },
  'read-nothing'() {},
  'no-exit-code'(channel) {
    setImmediate(end, channel, null)
  },
}

const server = new ssh2.Server({ hostKeys: [hostKey] }, (client) => {
  client.on('error', () => {})
  client.on('authentication', (context) => context.accept())
  client.on('session', (accept) => {
    accept().on('exec', (acceptExec, _reject, { command }) => {
      const channel = acceptExec()
      channel.on('error', () => {})
      channel.stderr.on('error', () => {})
      const [name, ...args] = command.split(' ')
      scenarios[name]?.(channel, ...args)
      if (name !== 'read-nothing') channel.resume()
    })
  })
})
server.listen(0, '127.0.0.1', () => process.stdout.write(`${server.address().port}\n`))
