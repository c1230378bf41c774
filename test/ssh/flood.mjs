// A hundred hostile connections in a process of their own, so that what they buffer does not count; says "done" when
// nothing more is taken from them.     node flood.mjs before|after PORT KEYFILE CONNECTIONS
import { readFileSync } from 'node:fs'
import ssh2 from 'ssh2'

const [mode, port, keyFile, count] = process.argv.slice(2)
const privateKey = readFileSync(keyFile)
const [SERVICE, AUTH, GLOBAL, OPEN, DATA, REQUEST, PING] = [5, 50, 80, 90, 94, 98, 192]
const LARGE = Buffer.alloc(250_000, 'x')

function packet(type, ...parts) {
  const bytes = parts.map((part) => {
    if (typeof part === 'boolean') return Buffer.of(part ? 1 : 0)
    if (typeof part === 'number') {
      const number = Buffer.alloc(4)
      number.writeUInt32BE(part)
      return number
    }
    const text = Buffer.from(part)
    return Buffer.concat([packet(undefined, text.length), text])
  })
  return Buffer.concat([...(type === undefined ? [] : [Buffer.of(type)]), ...bytes])
}

function connect() {
  return new Promise((resolve) => {
    const client = new ssh2.Client()
    client.on('error', () => resolve(undefined))
    client.on('close', () => resolve(undefined))
    client.connect({
      host: '127.0.0.1',
      port: Number(port),
      username: 'dev@web',
      privateKey,
      readyTimeout: 60_000,
      algorithms: { cipher: ['aes128-gcm@openssh.com'] },
      ...(mode === 'before' && { authHandler: () => {} }),
    })
    const protocol = client._protocol
    const send = (payload) => {
      const writer = protocol._packetRW.write
      const at = writer.allocStart
      const bytes = writer.alloc(payload.length)
      bytes.set(payload, at)
      protocol._cipher.encrypt(writer.finalize(bytes))
    }
    // Channels are none of ssh2's here.
    const original = protocol._onPayload
    protocol._onPayload = (payload) => (payload[0] >= GLOBAL && payload[0] !== PING ? undefined : original(payload))
    const ready = () => resolve({ send, socket: client._sock })
    if (mode === 'before') client.once('handshake', ready)
    else client.once('ready', ready)
  })
}

/** As many as the other side takes. */
async function repeat({ send, socket }, payload, most) {
  for (let i = 0; i < most && !socket.destroyed; i++) {
    send(payload)
    if (!socket.writableNeedDrain) continue
    const drained = await new Promise((resolve) => {
      socket.once('drain', () => resolve(true)).once('close', () => resolve(false))
      setTimeout(() => resolve(false), 4000)
    })
    if (!drained) return
  }
}

const attacks = {
  before: [
    async (connection) => {
      connection.socket.pause()
      await repeat(connection, packet(PING, LARGE), 100)
    },
    async (connection) => {
      connection.send(packet(SERVICE, 'ssh-userauth'))
      await repeat(
        connection,
        packet(AUTH, 'dev@web', 'ssh-connection', 'password', false, LARGE.subarray(0, 60_000)),
        9,
      )
    },
    async (connection) => {
      connection.send(packet(SERVICE, 'ssh-userauth'))
      await repeat(connection, packet(AUTH, 'dev@web', 'ssh-connection', 'password', false, LARGE), 9)
    },
  ],
  after: [
    // Input that nobody reads, commands and variables.
    async (connection) => {
      for (let id = 0; id < 10; id++) {
        connection.send(packet(OPEN, 'session', id, 0, 32_768))
        for (let i = 0; i < 5; i++)
          connection.send(packet(REQUEST, id, 'env', false, `A${i}`, LARGE.subarray(0, 90_000)))
        connection.send(packet(REQUEST, id, 'exec', false, LARGE))
        connection.send(packet(DATA, id, LARGE.subarray(0, 65_536)))
      }
    },
    // Output that nobody reads.
    async (connection) => {
      for (let id = 0; id < 10; id++) {
        connection.send(packet(OPEN, 'session', id, 0, 32_768))
        connection.send(packet(REQUEST, id, 'exec', false, 'flood'))
      }
    },
    async (connection) => {
      connection.send(packet(GLOBAL, 'tcpip-forward', true, '', 0))
      await repeat(connection, packet(GLOBAL, LARGE, true), 300)
    },
    async (connection) => {
      connection.socket.pause()
      await repeat(connection, packet(PING, LARGE), 300)
    },
  ],
}[mode]

const connections = []
for (let i = 0; i < Number(count); i += 10) {
  connections.push(...(await Promise.all(Array.from({ length: 10 }, connect))))
}
await Promise.all(connections.map((connection, i) => connection && attacks[i % attacks.length](connection)))
process.stdout.write(`done: ${connections.filter(Boolean).length}\n`)
setInterval(() => {}, 1000)
