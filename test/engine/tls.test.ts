/** TLS to an engine with the files of the configuration: what is trusted, what is shown, and a sentence for what is wrong. */
import { execFileSync, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import https from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { messageOf } from '../../src/base/errors.ts'
import { chooseEngine, openEngine } from '../../src/engine/choose.ts'
import { deadline } from '../../src/lifetime/deadline.ts'
import { freePort } from '../support/port.ts'
import { until } from '../support/wait.ts'

const home = mkdtempSync(join(tmpdir(), 'hw-test-tls-'))
const file = (name: string) => join(home, name)
const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: home, stdio: ['ignore', 'ignore', 'pipe'] })
const servers: https.Server[] = []

function authority(name: string): void {
  openssl(
    'req',
    '-x509',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:P-256',
    '-nodes',
    '-days',
    '2',
    ...['-keyout', `${name}.key`, '-out', `${name}.pem`, '-subj', `/CN=${name}`],
  )
}

function certificate(name: string, by: string, host: string, ...when: string[]): void {
  openssl(
    'req',
    '-new',
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:P-256',
    '-nodes',
    ...['-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', `/CN=${name}`],
  )
  writeFileSync(file(`${name}.ext`), `subjectAltName=${host}\n`)
  openssl(
    'x509',
    '-req',
    '-in',
    `${name}.csr`,
    '-CA',
    `${by}.pem`,
    '-CAkey',
    `${by}.key`,
    '-CAcreateserial',
    ...['-out', `${name}.pem`, '-extfile', `${name}.ext`, ...(when.length > 0 ? when : ['-days', '2'])],
  )
}

/** An API that answers to who has a certificate of the authority. Returns its endpoint. */
async function serve(name: string): Promise<string> {
  const read = (one: string) => readFileSync(file(one))
  const server = https.createServer(
    {
      cert: read(`${name}.pem`),
      key: read(`${name}.key`),
      ca: read('ca.pem'),
      requestCert: true,
      rejectUnauthorized: true,
    },
    (request, response) => {
      const version = { Version: '26.1.5', ApiVersion: '1.45', MinAPIVersion: '1.24', Arch: 'amd64' }
      response.end(JSON.stringify(request.url?.endsWith('/version') ? version : []))
    },
  )
  server.on('tlsClientError', () => {})
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return `tcp://127.0.0.1:${(server.address() as AddressInfo).port}`
}

const ends: Record<string, string> = {}
beforeAll(async () => {
  authority('ca')
  authority('other')
  certificate('good', 'ca', 'IP:127.0.0.1')
  certificate('elsewhere', 'ca', 'DNS:build9.example')
  certificate('old', 'ca', 'IP:127.0.0.1', '-days', '-1')
  certificate('client', 'ca', 'DNS:client')
  certificate('stranger', 'other', 'DNS:client')
  writeFileSync(file('none.pem'), 'no certificate\n')
  for (const name of ['good', 'elsewhere', 'old']) ends[name] = await serve(name)
}, 60_000)
afterAll(() => {
  for (const server of servers) {
    server.closeAllConnections()
    server.close()
  }
  rmSync(home, { recursive: true })
})

const CLIENT = { ca: file('ca.pem'), cert: file('client.pem'), key: file('client.key') }
const choice = (name: string, tls = CLIENT) => ({
  ...({ kind: 'docker', endpoint: ends[name] ?? '', tls, key: 'engines.build1', lazy: true } as const),
})

async function list(name: string, tls?: typeof CLIENT) {
  const engine = await openEngine(choice(name, tls), deadline(10_000), {})
  try {
    return await engine.list(deadline(10_000))
  } finally {
    await engine.close()
  }
}

test('who has the right files is let in', async () => {
  expect(await list('good')).toEqual([])
  const address = { kind: 'tcp', tls: { verify: true } }
  expect(await chooseEngine(choice('good'), {})).toMatchObject({ by: 'engines.build1.endpoint', address })
})

test.each([
  ['good', { ...CLIENT, ca: file('other.pem') }, 'its certificate is of no authority that is trusted'],
  ['elsewhere', CLIENT, 'its certificate is for another name'],
  ['old', CLIENT, 'its certificate has expired'],
] as const)('%s: a sentence', async (name, tls, words) => {
  await expect(list(name, tls)).rejects.toMatchObject({
    code: 'ENGINE_UNAVAILABLE',
    message: `the container engine is not reachable (${words})`,
  })
})

test.each([
  [
    { ...CLIENT, ca: file('no-such.pem') },
    /^engines.build1.tls: cannot read .*no-such.pem: ENOENT: no such file or directory$/,
  ],
  [{ ...CLIENT, cert: file('none.pem') }, /^engines.build1.tls: .*none.pem.*: /],
  [{ ...CLIENT, key: file('stranger.key') }, /^engines.build1.tls: .*stranger.key: .*mismatch/i],
])('files that are none are refused at the start: %s', async (tls, message) => {
  await expect(list('good', tls)).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    message: expect.stringMatching(message),
  })
})

test('a server that refuses ours says so', async () => {
  const port = await freePort()
  // Node ends such a connection without a word; openssl sends the alert, as dockerd does.
  const server = spawn(
    'openssl',
    [
      ...['s_server', '-accept', `127.0.0.1:${port}`, '-cert', 'good.pem', '-key', 'good.key', '-CAfile', 'ca.pem'],
      ...['-Verify', '1', '-verify_return_error', '-quiet'],
    ],
    { cwd: home, stdio: 'ignore' },
  )
  try {
    ends.strict = `tcp://127.0.0.1:${port}`
    const asked = async () => {
      const stranger = { ...CLIENT, cert: file('stranger.pem'), key: file('stranger.key') }
      return list('strict', stranger).catch((error: unknown) => messageOf(error))
    }
    await until('it listens', async () => !String(await asked()).includes('connection refused'))
    expect(await asked()).toBe('the container engine is not reachable (it refuses the certificate that it is shown)')
  } finally {
    server.kill()
  }
})
