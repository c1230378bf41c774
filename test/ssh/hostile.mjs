// A client in a process of its own, so that what it buffers does not count: ignores the window, or stops reading.
// node hostile.mjs ignore-window|stop-reading PORT KEYFILE MEGABYTES
import { readFileSync } from 'node:fs'
import ssh2 from 'ssh2'

const [mode, port, keyFile, megabytes] = process.argv.slice(2)
const client = new ssh2.Client()
client.on('error', (error) => {
  process.stdout.write(`ended: ${error.message}\n`)
  process.exit()
})
client.on('close', () => {
  process.stdout.write('ended: closed\n')
  process.exit()
})
client.on('ready', () => {
  const protocol = client._protocol
  client.exec(
    mode === 'ignore-window' ? 'read-nothing' : `zeros ${megabytes * 1024 * 1024}`,
    async (error, channel) => {
      if (error) throw error
      channel.on('error', () => {})
      if (mode === 'stop-reading') {
        channel.on('data', () => {})
        // 4 GiB more: nothing but TCP holds the server back.
        protocol.channelWindowAdjust(channel.outgoing.id, 0xffffffff - 2 ** 21)
        client._sock.pause()
        // A paused socket does not keep the process.
        setInterval(() => {}, 1000)
        process.stdout.write('stopped\n')
        return
      }
      const chunk = Buffer.alloc(32_000)
      for (let sent = 0; sent < Number(megabytes) * 1024 * 1024; sent += chunk.length) {
        protocol.channelData(channel.outgoing.id, chunk)
        if (client._sock.writableNeedDrain) await new Promise((resolve) => client._sock.once('drain', resolve))
      }
      process.stdout.write('sent all\n')
    },
  )
})
client.connect({ host: '127.0.0.1', port: Number(port), username: 'dev@web', privateKey: readFileSync(keyFile) })
