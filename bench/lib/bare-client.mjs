// A client without OpenSSH's own cost, and commands.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { connect } from 'node:net'

export async function connectClient({
  port,
  key,
  user = 'bench',
  kex = 'curve25519-sha256',
  cipher = 'aes128-gcm@openssh.com',
}) {
  const { Client } = createRequire(import.meta.url)('ssh2')
  const client = new Client()
  client.connect({
    // OpenSSH's has no delay, either, once it has logged in.
    sock: connect({ host: '127.0.0.1', port: Number(port), noDelay: true }),
    ...{ username: user, privateKey: readFileSync(key) },
    algorithms: { kex: [kex], cipher: [cipher] },
  })
  await once(client, 'ready')
  return client
}

/** Its standard output. */
export async function command(file, ...args) {
  const child = spawn(file, args.map(String), { stdio: ['ignore', 'pipe', 'inherit'] })
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (chunk) => {
    output += chunk
  })
  const [code] = await once(child, 'close')
  if (code !== 0) throw new Error(`${file} ended with ${code}`)
  return output
}
