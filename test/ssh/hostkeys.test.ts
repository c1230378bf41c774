/** Host keys: what the client is shown, hostkeys-00@openssh.com, and certificates. */
import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, expect, test } from 'vitest'
import { connectPeer, fields, HIDE_CHANNELS, Message, type Peer, packet } from './peer.ts'
import { createFolder, type Folder, program, publicBlob, ssh, startServer, type TestServer } from './support.ts'

let server: TestServer
let folder: Folder

afterEach(async () => {
  await server?.close()
  folder?.remove()
})

/** Long enough for the client to ask for proofs: it leaves when its session ends. */
const ok = program(async () => {
  await new Promise((resolve) => setTimeout(resolve, 500))
  return { code: 0 }
})

async function start3(): Promise<string[]> {
  folder = createFolder()
  const files = [
    folder.key('ed', '-t', 'ed25519'),
    folder.key('ec', '-t', 'ecdsa', '-b', '521'),
    folder.key('rsa', '-t', 'rsa', '-b', '2048'),
  ]
  server = await startServer({ session: ok, hostKeys: files })
  return files
}

test.each(['ssh-ed25519', 'ecdsa-sha2-nistp521', 'rsa-sha2-512', 'rsa-sha2-256'])(
  'the client accepts host key algorithm %s, and learns the other keys through hostkeys-00 and prove',
  async (algorithm) => {
    const files = await start3()
    // Only from a server whose key it knows does a client learn others.
    await ssh(server, ['true'], { first: ['-o', `HostKeyAlgorithms=${algorithm}`] })
    const result = await ssh(server, ['true'], {
      first: ['-o', `HostKeyAlgorithms=^${algorithm}`, '-o', 'UpdateHostKeys=yes'],
    })
    expect(result.code).toBe(0)
    const known = readFileSync(join(server.folder.path, 'known_hosts'), 'utf8')
    for (const file of files) expect(known).toContain(publicBlob(file).toString('base64'))
  },
)

test('SHA-1 signatures of an RSA host key are not offered', async () => {
  await start3()
  const result = await ssh(server, ['true'], { first: ['-o', 'HostKeyAlgorithms=ssh-rsa'] })
  expect(result.code).toBe(255)
  expect(server.events).toContainEqual(
    expect.objectContaining({ reason: 'Handshake failed: no matching host key format' }),
  )
})

test('hostkeys-prove of a key that is not ours is refused', async () => {
  await start3()
  const peer = await connectPeer(server, { hide: HIDE_CHANNELS })
  const foreign = publicBlob(folder.key('foreign'))
  peer.send(packet(Message.GLOBAL_REQUEST, 'hostkeys-prove-00@openssh.com', true, { raw: fields(foreign) }))
  expect((await peer.next(81, 82)).type).toBe(Message.REQUEST_FAILURE)
  peer.send(packet(Message.GLOBAL_REQUEST, 'hostkeys-prove-00@openssh.com', true))
  expect((await peer.next(81, 82)).type).toBe(Message.REQUEST_FAILURE)
  peer.close()
})

test('a proof is signed once in a connection, however often it is asked for', async () => {
  const [, ecdsa = ''] = await start3()
  const asked = fields(publicBlob(ecdsa))
  const connect = () => connectPeer(server, { hide: HIDE_CHANNELS })
  const [peer, other] = [await connect(), await connect()]
  const prove = async ({ send, next }: Peer) => {
    send(packet(Message.GLOBAL_REQUEST, 'hostkeys-prove-00@openssh.com', true, { raw: asked }))
    return (await next(Message.REQUEST_SUCCESS)).payload
  }
  const first = await prove(peer)
  // Each ECDSA signature is another one.
  expect(await prove(peer)).toEqual(first)
  expect(await prove(other)).not.toEqual(first)
  for (const { close } of [peer, other]) close()
})

test.each([
  ['ed25519', ['-t', 'ed25519'], 'curve25519-sha256'],
  ['ecdsa', ['-t', 'ecdsa', '-b', '384'], 'ecdh-sha2-nistp256'],
  ['rsa', ['-t', 'rsa', '-b', '2048'], 'sntrup761x25519-sha512@openssh.com'],
])(
  'a %s host certificate is believed by who trusts its authority, also at the next key exchange',
  async (_name, options, kex) => {
    folder = createFolder()
    const [authority, key] = [folder.key('ca'), folder.key('host', ...options)]
    execFileSync('ssh-keygen', ['-q', '-s', authority, '-I', 'host', '-h', '-n', '127.0.0.1,[127.0.0.1]', `${key}.pub`])
    server = await startServer({
      session: ok,
      hostKeys: [key],
      hostCertificates: [`${key}-cert.pub`],
      limits: { rekeyLimit: { bytes: 0, milliseconds: 100 } },
    })
    writeFileSync(
      join(server.folder.path, 'known_hosts'),
      `@cert-authority * ${readFileSync(`${authority}.pub`, 'utf8')}`,
    )
    const strict = ['-o', 'StrictHostKeyChecking=yes', '-o', `KexAlgorithms=${kex}`]
    expect((await ssh(server, ['true'], { first: strict })).code).toBe(0)
    // Without the authority the certificate is worth nothing.
    writeFileSync(join(server.folder.path, 'known_hosts'), '')
    expect((await ssh(server, ['true'], { first: strict })).code).toBe(255)
  },
)

test('a certificate of another key, or of a user, is refused at the start', async () => {
  folder = createFolder()
  const [authority, key, other] = [folder.key('ca'), folder.key('host'), folder.key('other')]
  execFileSync('ssh-keygen', ['-q', '-s', authority, '-I', 'x', '-h', `${other}.pub`])
  execFileSync('ssh-keygen', ['-q', '-s', authority, '-I', 'x', '-n', 'me', `${key}.pub`])
  const hostKeys = [key]
  server = await startServer()
  const refused = (file: string) => startServer({ hostKeys, hostCertificates: [`${file}-cert.pub`] })
  const why = (file: string, sentence: string) => ({
    code: 'CONFIG_INVALID',
    message: `host certificate ${file}-cert.pub cannot be used: ${sentence}`,
  })
  await expect(refused(other)).rejects.toMatchObject(why(other, 'it belongs to none of the host keys'))
  await expect(refused(key)).rejects.toMatchObject(why(key, 'it is one of a user (ssh-keygen -s needs -h)'))
})

test('of two keys of one type the first signs and the client learns the second: the first can be taken away later', async () => {
  folder = createFolder()
  const [old, next] = [folder.key('old'), folder.key('next')]
  server = await startServer({ session: ok, hostKeys: [old, next] })
  const learn = ['-o', 'HostKeyAlgorithms=ssh-ed25519', '-o', 'UpdateHostKeys=yes']
  // Only from a server whose key it knows does a client learn others.
  expect((await ssh(server, ['true'], { first: learn })).code).toBe(0)
  expect((await ssh(server, ['true'], { first: learn })).code).toBe(0)
  const known = readFileSync(join(server.folder.path, 'known_hosts'), 'utf8')
  await server.close()
  for (const file of [old, next]) expect(known).toContain(publicBlob(file).toString('base64'))

  server = await startServer({ session: ok, hostKeys: [next] })
  const line = `[127.0.0.1]:${server.port} ssh-ed25519 ${publicBlob(next).toString('base64')}`
  expect(known).toContain(line.split(' ').slice(1).join(' '))
  writeFileSync(join(server.folder.path, 'known_hosts'), `${line}\n`)
  expect((await ssh(server, ['true'], { first: ['-o', 'StrictHostKeyChecking=yes'] })).code).toBe(0)
})

test('a certificate brings its own key, also where that is not the first of its type', async () => {
  folder = createFolder()
  const [authority, first, second] = [folder.key('ca'), folder.key('first'), folder.key('second')]
  execFileSync('ssh-keygen', ['-q', '-s', authority, '-I', 'host', '-h', '-n', '127.0.0.1', `${second}.pub`])
  server = await startServer({ session: ok, hostKeys: [first, second], hostCertificates: [`${second}-cert.pub`] })
  const strict = ['-o', 'StrictHostKeyChecking=yes', '-o', 'UpdateHostKeys=no']
  writeFileSync(
    join(server.folder.path, 'known_hosts'),
    `@cert-authority * ${readFileSync(`${authority}.pub`, 'utf8')}`,
  )
  expect((await ssh(server, ['true'], { first: strict })).code).toBe(0)
  writeFileSync(
    join(server.folder.path, 'known_hosts'),
    `[127.0.0.1]:${server.port} ssh-ed25519 ${publicBlob(first).toString('base64')}\n`,
  )
  const plain = [...strict, '-o', 'HostKeyAlgorithms=ssh-ed25519']
  expect((await ssh(server, ['true'], { first: plain })).code).toBe(0)
})
