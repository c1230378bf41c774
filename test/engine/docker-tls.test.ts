/** An engine behind TLS that goes while calls' sockets are kept: it is told at once, not by a limit. */
import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import https from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { createDockerHttp } from '../../src/engine/docker/http.ts'
import { run } from '../support/run.ts'

let home: string
beforeEach(async () => {
  home = await mkdtemp(join(tmpdir(), 'hw-test-tls-'))
})
afterEach(() => rm(home, { recursive: true }))

test('a server that has closed a kept socket is not waited for', async () => {
  const [key, cert] = [join(home, 'key.pem'), join(home, 'cert.pem')]
  const subject = ['-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1', '-days', '2']
  const files = ['-keyout', key, '-out', cert]
  await run('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', ...subject, ...files])
  const pem = { key: readFileSync(key), cert: readFileSync(cert) }
  const open = new Set<Socket>()
  const server = https.createServer(pem, (_, response) => response.end('OK'))
  server.on('secureConnection', (socket: Socket) => {
    open.add(socket)
    socket.on('error', () => {})
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const http = createDockerHttp({ kind: 'tcp', host: '127.0.0.1', port, tls: { verify: true, ca: pem.cert } }, 5_000)
  const ping = () => http.call('GET', '/_ping', { signal: AbortSignal.timeout(20_000) })
  try {
    expect((await ping()).body.toString()).toBe('OK')
    // As a daemon that ends: what listens goes, and each connection is closed in order; nobody reads from them any more.
    const closed = new Promise((resolve) => server.close(resolve))
    for (const socket of open) socket.pause().end()
    await new Promise((resolve) => setTimeout(resolve, 200))
    await expect(ping()).rejects.toMatchObject({ code: 'ENGINE_UNAVAILABLE' })
    for (const socket of open) socket.destroy()
    await closed
  } finally {
    http.close()
    server.closeAllConnections()
  }
})
