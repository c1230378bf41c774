// ssh2's client in this process, where a client process of its own would hide what is measured.
import { createRequire } from 'node:module'
import { KEX } from './keys.mjs'

const { Client } = createRequire(import.meta.url)('ssh2')
const LIMIT = 60_000

export function connectClient({ host, port, user }, keys) {
  const client = new Client()
  return new Promise((resolve, reject) => {
    client.on('error', reject)
    client.once('close', () => reject(new Error('the connection was closed')))
    client.once('ready', () => {
      // As OpenSSH's.
      client.setNoDelay(true)
      resolve(client)
    })
    client.connect({
      host,
      port,
      username: user,
      privateKey: keys.privateKey,
      readyTimeout: LIMIT,
      algorithms: { kex: [KEX], serverHostKey: ['ssh-ed25519'], cipher: ['aes128-gcm@openssh.com'] },
    })
  })
}

/** Milliseconds until the channel is closed. */
export function execOn(client, command) {
  const began = performance.now()
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`${command}: no end`)), LIMIT)
    client.exec(command, (error, channel) => {
      if (error) return reject(error)
      // Listened to at once: the exit status may be in the bytes that are being read right now.
      let code
      channel.once('exit', (status) => {
        code = status
      })
      channel.once('close', () => {
        clearTimeout(timer)
        if (code === 0) resolve(performance.now() - began)
        else reject(new Error(`${command} ended with ${code}`))
      })
      channel.on('error', () => {})
      channel.stderr.resume()
      channel.resume()
    })
  })
}

export function openChannel(client, command, options = {}) {
  return new Promise((resolve, reject) => {
    client.exec(command, options, (error, channel) => {
      if (error) return reject(error)
      channel.on('error', () => {})
      resolve(channel)
    })
  })
}

/** A connection to a port of the container's loopback: its stream, and a promise of its end. */
export function forwardOut(client, port) {
  return new Promise((resolve, reject) => {
    client.forwardOut('127.0.0.1', 1, '127.0.0.1', port, (error, stream) => {
      if (error) return reject(error)
      // Listened to at once: all that comes may be in the bytes that are being read right now.
      const closed = new Promise((resolve) => stream.once('close', resolve))
      stream.on('error', () => {})
      stream.once('end', () => stream.end())
      stream.resume()
      resolve({ stream, closed })
    })
  })
}
