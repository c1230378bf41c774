/** The gateway's own SFTP server on the copy call of a real engine, by packets that no client would send so. */
import { Readable } from 'node:stream'
import { setImmediate } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest'
import { createDockerEngine } from '../../src/engine/docker/docker.ts'
import type { Copies } from '../../src/engine/engine.ts'
import { engineError, engineTimeout, unreachable } from '../../src/engine/messages.ts'
import { archiveFiles } from '../../src/sftp/archive-files.ts'
import { serveSftp } from '../../src/sftp/server.ts'
import { attributes, FX, FXP, OPEN, packet, Reader, readStatus, string, u32, u64 } from '../guest-sftp/wire.ts'
import { startContainer, type TestContainer } from '../support/containers.ts'
import { copiesOf } from '../support/copies.ts'
import { run } from '../support/run.ts'

const docker = createDockerEngine({ endpoint: 'unix:///var/run/docker.sock' })
const copies = copiesOf(docker)
let container: TestContainer
beforeAll(async () => {
  container = await startContainer('busybox')
})
const open: { close(): void }[] = []
afterEach(() => {
  for (const one of open.splice(0)) one.close()
})
afterAll(async () => {
  await container?.remove()
  await docker.close()
})

const inside = async (script: string) => (await container.inside(script)).stdout.toString()

/** A session of one request at a time. */
async function session(uid = 0, by: Copies = copies) {
  const closed = new AbortController()
  let received = Buffer.alloc(0)
  let arrived = () => {}
  const sink = {
    write(fd: 1 | 2, chunk: Buffer) {
      if (fd === 1) received = Buffer.concat([received, chunk])
      arrived()
      return true
    },
  }
  const files = archiveFiles(by, container.id, closed.signal)
  const settings = { who: { uid, gid: uid }, directory: '/', readOnly: false, space: { take: () => true, give() {} } }
  const exec = serveSftp(files, settings, sink, () => closed.abort(new Error('the session ended')))
  open.push(exec)

  async function answer(): Promise<{ readonly type: number; readonly body: Buffer }> {
    while (received.length < 4 || received.length < 4 + received.readUInt32BE()) {
      await new Promise<void>((resolve) => {
        arrived = resolve
      })
    }
    const end = 4 + received.readUInt32BE()
    const [type, body] = [received.readUInt8(4), received.subarray(5, end)]
    received = received.subarray(end)
    return { type, body }
  }

  async function ask(type: number, ...fields: readonly Buffer[]) {
    const request = packet(type, u32(7), ...fields)
    while (exec.stdin.writableLength > 0) await setImmediate()
    exec.stdin.write(request)
    // It was lent.
    request.fill(0xff)
    const reply = await answer()
    return { type: reply.type, body: reply.body.subarray(4) }
  }
  const status = async (type: number, ...fields: readonly Buffer[]) =>
    readStatus((await ask(type, ...fields)).body).code

  exec.stdin.write(packet(FXP.INIT, u32(3)))
  await answer()
  return {
    exec,
    ask,
    status,
    async open(path: string, flags: number) {
      const { type, body } = await ask(FXP.OPEN, string(path), u32(flags), attributes({ mode: 0o644 }))
      return type === FXP.HANDLE ? new Reader(body).string() : readStatus(body).code
    },
    async list(path: string) {
      const { body } = await ask(FXP.OPENDIR, string(path))
      const handle = new Reader(body).string()
      const names = await ask(FXP.READDIR, string(handle))
      await status(FXP.CLOSE, string(handle))
      return names
    },
  }
}
const REPLACE = OPEN.WRITE | OPEN.CREAT | OPEN.TRUNC

it('a file of which one WRITE was refused is not put, whatever follows', async () => {
  await inside('echo good >/refused')
  const client = await session()
  const handle = string((await client.open('/refused', REPLACE)) as Buffer)
  expect(await client.status(FXP.WRITE, handle, u64(0), string('half'))).toBe(FX.OK)
  expect(await client.status(FXP.WRITE, handle, u64(3 * 2 ** 30), string('beyond the limit'))).toBe(FX.FAILURE)
  expect(await client.status(FXP.WRITE, handle, u64(4), string('more'))).toBe(FX.OK)
  // As OpenSSH's client does: to the length that it believes to have sent.
  expect(await client.status(FXP.FSETSTAT, handle, attributes({ size: 4 }))).toBe(FX.OK)
  expect(await client.status(FXP.CLOSE, handle)).toBe(FX.FAILURE)
  expect(await inside('cat /refused')).toBe('good\n')
})

it('attributes that are denied cost nothing of the content, as with sshd', async () => {
  await inside('echo old >/writable; chmod 666 /writable')
  const client = await session(1000)
  const handle = string((await client.open('/writable', REPLACE)) as Buffer)
  expect(await client.status(FXP.WRITE, handle, u64(0), string('new\n'))).toBe(FX.OK)
  expect(await client.status(FXP.FSETSTAT, handle, attributes({ mode: 0o600 }))).toBe(FX.PERMISSION_DENIED)
  expect(await client.status(FXP.FSETSTAT, handle, attributes({ size: 4 }))).toBe(FX.OK)
  expect(await client.status(FXP.CLOSE, handle)).toBe(FX.OK)
  expect(await inside('cat /writable; stat -c "%u %a" /writable')).toBe('new\n0 666\n')
})

it('owners and times that a plain header has no room for', async () => {
  await inside('echo mine >/large; chown 1000650000:1000650001 /large; chmod 600 /large')
  expect(await (await session(1000)).open('/large', OPEN.READ)).toBe(FX.PERMISSION_DENIED)
  const client = await session(1000650000)
  const { body } = await client.ask(FXP.STAT, string('/large'))
  expect(new Reader(body).attributes()).toMatchObject({ size: 5n, owner: [1000650000, 1000650001] })
  const handle = string((await client.open('/large', OPEN.READ | OPEN.WRITE)) as Buffer)
  expect(await client.status(FXP.WRITE, handle, u64(0), string('MINE'))).toBe(FX.OK)
  expect(await client.status(FXP.CLOSE, handle)).toBe(FX.OK)
  const time = 2 ** 31 + 7
  expect(await client.status(FXP.SETSTAT, string('/large'), attributes({ times: [time, time] }))).toBe(FX.OK)
  expect(await inside('cat /large; stat -c "%u %g %a %Y" /large')).toBe(`MINE\n1000650000 1000650001 600 ${time}\n`)
})

it('a put is finished when its session ends in the middle of it', async () => {
  await inside('echo good >/cut')
  let begun = () => {}
  const underWay = new Promise<void>((resolve) => {
    begun = resolve
  })
  async function* slowly(tar: Readable) {
    let sent = 0
    for await (const chunk of tar) {
      if (sent <= 2 ** 20 && sent + chunk.length > 2 ** 20) {
        begun()
        await new Promise((resolve) => setTimeout(resolve, 500))
      }
      sent += chunk.length
      yield chunk
    }
  }
  const client = await session(0, {
    ...copies,
    writeArchive: (id, path, tar, signal) => copies.writeArchive(id, path, Readable.from(slowly(tar)), signal),
  })
  const handle = string((await client.open('/cut', REPLACE)) as Buffer)
  for (let at = 0; at < 40; at++) {
    expect(await client.status(FXP.WRITE, handle, u64(at * 200_000), string(Buffer.alloc(200_000, at)))).toBe(FX.OK)
  }
  client.exec.stdin.write(packet(FXP.CLOSE, u32(7), handle))
  await underWay
  client.exec.close()
  await client.exec.exit
  const { stdout } = await run('docker', ['exec', container.name, 'cat', '/cut'])
  expect([stdout.length, stdout.at(0), stdout.at(-1)]).toEqual([8_000_000, 0, 39])
})

it('names that lead through a link are found also after a listing', async () => {
  await inside('mkdir -p /linked/real/sub; echo x >/linked/real/f; : >/linked/real/sub/g; ln -s real /linked/link')
  const client = await session(1000)
  const before = await client.ask(FXP.STAT, string('/linked/link/f'))
  await client.list('/linked')
  expect(await client.ask(FXP.STAT, string('/linked/link/f'))).toEqual(before)
  expect(await client.open('/linked/link/f', OPEN.WRITE | OPEN.CREAT | OPEN.EXCL)).toBe(FX.FAILURE)
  expect(await client.open('/linked/link/f', REPLACE)).toBe(FX.PERMISSION_DENIED)
  await client.list('/linked')
  expect((await client.list('/linked/link/sub')).body.readUInt32BE()).toBe(3)
  await client.list('/linked')
  expect(await client.status(FXP.STAT, string('/linked/link/none'))).toBe(FX.NO_SUCH_FILE)
  expect(await client.status(FXP.STAT, string('/linked/real/none'))).toBe(FX.NO_SUCH_FILE)
})

it('links that lead in a circle are an answer, and the session goes on', async () => {
  await inside('mkdir -p /circle; ln -s b /circle/a; ln -s a /circle/b')
  const { ask, status, list, open: openFile } = await session()
  for (const name of ['/circle/a/x', '/circle/a/x/y']) {
    for (const type of [FXP.LSTAT, FXP.STAT, FXP.OPENDIR, FXP.READLINK]) {
      const { type: answer, body } = await ask(type, string(name))
      expect([name, type, answer]).toEqual([name, type, FXP.STATUS])
      expect(readStatus(body).text).not.toContain('/')
    }
  }
  // The engine follows the last link as well, to say where it leads.
  expect(await status(FXP.STAT, string('/circle/a'))).toBe(FX.NO_SUCH_FILE)
  expect(await openFile('/circle/a/new', REPLACE)).toBe(FX.NO_SUCH_FILE)
  expect((await list('/circle')).type).toBe(FXP.NAME)
})

it.each([
  ['refuses', () => Promise.reject(engineError('error evaluating /var/lib/docker/overlay2/abc/merged/x', {}))],
  ['is away', () => Promise.reject(unreachable('connection refused', new Error('unix:///run/docker.sock')))],
  ['forgets to answer', () => Promise.reject(engineTimeout('GET /archive', 60_000))],
  ['sends no archive', async () => Readable.from([Buffer.alloc(2000, 0x41)])],
  [
    'breaks off',
    async () => {
      const broken = new Readable({ read() {} })
      broken.push(Buffer.alloc(100))
      setTimeout(() => broken.destroy(Object.assign(new Error('read ECONNRESET'), { syscall: 'read' })), 10)
      return broken
    },
  ],
] as const)(
  'an engine that %s is an answer without a path of its host, and the session goes on',
  async (_, readArchive) => {
    let broken = true
    const failing: Copies = {
      ...copies,
      readArchive: (...args) => (broken ? readArchive() : copies.readArchive(...args)),
    }
    const { ask, list } = await session(0, failing)
    for (const type of [FXP.LSTAT, FXP.OPENDIR]) {
      const { type: answer, body } = await ask(type, string('/etc'))
      expect([answer, readStatus(body).code]).toEqual([FXP.STATUS, FX.FAILURE])
      expect(readStatus(body).text).toMatch(/^the container engine [^/]+$/)
    }
    broken = false
    expect((await list('/etc')).type).toBe(FXP.NAME)
  },
)
