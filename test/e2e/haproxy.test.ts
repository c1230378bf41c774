/** Behind a real HAProxy: both headers, and its health checks, which come as LOCAL connections of nobody's. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startContainer, type TestContainer } from '../support/containers.ts'
import { type Gateway, startGateway } from '../support/gateway.ts'
import { freePort } from '../support/port.ts'
import { run } from '../support/run.ts'
import { type Keys, makeKeys, makeSshClient } from '../support/ssh.ts'
import { until } from '../support/wait.ts'

const NO_HAPROXY = (await run('sh', ['-c', 'command -v haproxy'])).code !== 0
if (NO_HAPROXY) console.warn('test/e2e/haproxy.test.ts is skipped: there is no haproxy')

let keys: Keys
let gateway: Gateway
let container: TestContainer
let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hw-test-haproxy-'))
  keys = await makeKeys()
  container = await startContainer('busybox')
  gateway = await startGateway({ keys, engine: 'docker', env: { HATCHWAY_PROXY_PROTOCOL_FROM: '127.0.0.1/32' } })
})
afterAll(async () => {
  await gateway?.stop()
  await container?.remove()
  await keys?.close()
  await rm(folder, { recursive: true, force: true })
})

const answers = (port: number) =>
  new Promise<boolean>((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket
      .once('data', () => resolve(true))
      .once('error', () => resolve(false))
      .once('close', () => resolve(false))
    socket.once('data', () => socket.destroy())
  })

test.skipIf(NO_HAPROXY).each(['send-proxy', 'send-proxy-v2'])('%s, with health checks', async (header) => {
  const [port, config] = [await freePort(), join(folder, 'haproxy.cfg')]
  await writeFile(
    config,
    `defaults
  mode tcp
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  timeout check 2s
listen ssh
  bind 127.0.0.1:${port}
  option tcp-check
  tcp-check expect rstring ^SSH-2.0-
  server gateway ${gateway.host}:${gateway.port} ${header} check check-send-proxy inter 200 rise 1 fall 1\n`,
  )
  const proxy = spawn('haproxy', ['-db', '-f', config], { stdio: 'ignore' })
  const ended = once(proxy, 'exit')
  // From another address of the loopback: what is told must come out of the header.
  const client = await makeSshClient({ host: '127.0.0.1', port, user: `dev@${container.name}`, key: keys.ed25519 }, [
    'BindAddress 127.0.0.9',
  ])
  try {
    await until('HAProxy lets people through', () => answers(port))
    // Some checks in between: a failed one would take the gateway out.
    for (let times = 0; times < 3; times++) {
      await new Promise((resolve) => setTimeout(resolve, 500))
      const { code, stdout, stderr } = await client.exec('echo "$SSH_CONNECTION"; cat', { input: 'bytes' })
      expect([code, stderr.toString()]).toEqual([0, ''])
      expect(stdout.toString()).toMatch(new RegExp(`^127\\.0\\.0\\.9 \\d+ 127\\.0\\.0\\.1 ${port}\\nbytes$`))
    }
    expect(gateway.log()).not.toContain('"proxy-header"')
  } finally {
    await client.close()
    proxy.kill()
    await ended
  }
})
