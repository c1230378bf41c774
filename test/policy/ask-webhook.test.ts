/** The webhook's transports: over TLS with an authority of one's own, and over a unix socket. */
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer as createHttp, type RequestListener, type Server } from 'node:http'
import { createServer as createHttps } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { webhookAsker } from '../../src/policy/ask-webhook.ts'
import { run } from '../support/run.ts'

let folder: string
const servers: Server[] = []

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hw-test-webhook-'))
  const made = await run('openssl', [
    ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'],
    ...['-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1'],
    ...['-keyout', join(folder, 'key.pem'), '-out', join(folder, 'ca.pem')],
  ])
  expect(made.code, made.stderr.toString()).toBe(0)
})

afterAll(async () => {
  for (const server of servers) {
    server.closeAllConnections()
    server.close()
  }
  await rm(folder, { recursive: true, force: true })
})

/** Says what it was asked, and with which token. */
const echo: RequestListener = (request, response) => {
  let body = ''
  request.on('data', (chunk) => {
    body += chunk
  })
  request.on('end', () => response.end(`${request.method} ${request.headers['x-token']} ${body}`))
}

async function listening(server: Server, where: string | 0): Promise<number> {
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(where === 0 ? { port: 0, host: '127.0.0.1' } : where, resolve))
  const address = server.address()
  return typeof address === 'object' && address ? address.port : 0
}

const signal = () => AbortSignal.timeout(10_000)

it('https: an authority of `ca` is believed, and no other', async () => {
  const [key, cert] = await Promise.all(['key.pem', 'ca.pem'].map((name) => readFile(join(folder, name))))
  const url = `https://127.0.0.1:${await listening(createHttps({ key, cert }, echo), 0)}/decide`
  const ask = webhookAsker({ url }, { 'x-token': 't' }, join(folder, 'ca.pem'))
  expect(await ask('{"q":1}', signal())).toBe('POST t {"q":1}')
  await expect(webhookAsker({ url }, {}, undefined)('{}', signal())).rejects.toThrow(/self-signed certificate/)
  expect(() => webhookAsker({ url }, {}, join(folder, 'missing.pem'))).toThrow(/cannot read .*missing\.pem/)
})

it('a unix socket is asked by its path', async () => {
  const socketPath = join(folder, 'hook.sock')
  await listening(createHttp(echo), socketPath)
  const ask = webhookAsker({ url: 'http://localhost/decide', socketPath }, { 'x-token': 'u' }, undefined)
  expect(await ask('{}', signal())).toBe('POST u {}')
})
