/** `hatchway restart` under all that people do, with real clients: nothing ends, nothing is lost, nobody is refused. */
import { createHash, randomBytes } from 'node:crypto'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { docker, startContainer, type TestContainer } from '../support/containers.ts'
import { type Gateway, MAIN, startGateway } from '../support/gateway.ts'
import { startHangingEngine } from '../support/hanging-engine.ts'
import { type Finished, run } from '../support/run.ts'
import { type Keys, makeKeys, makeSshClient, type SshClient } from '../support/ssh.ts'
import { sleep, until as untilWithin } from '../support/wait.ts'

const LONG = 300_000
const until = <T>(what: string, ask: () => Promise<T | false | undefined> | T | false | undefined) =>
  untilWithin(what, ask, 90_000)
const T = `r${process.pid}`

let keys: Keys
let container: TestContainer
let folder: string
const opened: (() => unknown)[] = []

beforeAll(async () => {
  keys = await makeKeys()
  container = await startContainer('debian')
}, LONG)
afterAll(async () => {
  await container?.remove()
  await keys?.close()
})
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'hw-test-restarts-'))
})
afterEach(async () => {
  for (const close of opened.splice(0).reverse()) await close()
  rmSync(folder, { recursive: true })
}, LONG)

async function gateway(env: Record<string, string> = {}, main?: string): Promise<Gateway> {
  writeFileSync(
    join(folder, 'c.yaml'),
    `templates: { ${T}: { image: 'hatchway-busybox:latest', user: dev } }\nshutdownGrace: 1s\n`,
  )
  const args = ['--config', join(folder, 'c.yaml'), '--control-socket', join(folder, 'c.sock')]
  const started = await startGateway({ keys, engine: 'docker', args, env, ...(main !== undefined && { main }) })
  opened.push(() => started.stop(20_000))
  return started
}

async function client(to: Gateway, user = `dev@${container.name}`, extra: readonly string[] = []): Promise<SshClient> {
  const made = await makeSshClient(to.target(user), extra)
  opened.push(() => made.close())
  return made
}

const hatchway = (...args: string[]) =>
  run(process.execPath, [MAIN, ...args, '--control-socket', join(folder, 'c.sock')], {
    ...{ limit: 100_000, env: { HATCHWAY_CONFIG: '/dev/null' } },
  })

async function restart(): Promise<void> {
  const { code, stdout, stderr } = await hatchway('restart')
  expect([code, stderr.toString()]).toEqual([0, ''])
  expect(stdout.toString()).toContain('has taken over')
}

function said(one: Finished): [number, string, string] {
  return [one.code, one.stdout.toString(), one.stderr.toString()]
}

const sha256 = (bytes: Buffer | string) => createHash('sha256').update(bytes).digest('hex')

/** What comes back from a connection to a forwarded port. */
function exchange(port: number, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1')
    let got = ''
    socket.setEncoding('utf8').on('data', (part) => {
      got += part
      if (got.length >= text.length) socket.destroy()
    })
    socket.on('error', reject).on('close', () => resolve(got))
    socket.setTimeout(20_000, () => socket.destroy(new Error('no answer')))
    socket.write(text)
  })
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  return address !== null && typeof address === 'object' ? address.port : 0
}

const ECHO = `import socket
s=socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind(("127.0.0.1",7777)); s.listen(9)
while 1:
  c,_=s.accept(); c.sendall(c.recv(100)); c.close()`

describe('hatchway restart', { timeout: LONG }, () => {
  it('under shells, transfers, forwards, a ControlMaster and a fresh container', async () => {
    const to = await gateway()
    const plain = await client(to)
    await container.inside(`nohup python3 -c '${ECHO}' >/dev/null 2>&1 &`)

    const shell = plain.terminal(['-t', '-t', 't'])
    shell.send('echo one-$((40+2))\r')
    await shell.expect('one-42')
    opened.push(() => shell.kill())

    const [localPort, remotePort] = [await freePort(), 20_000 + (process.pid % 10_000)]
    const echo = createServer((socket) => socket.on('error', () => {}).pipe(socket))
    await new Promise<void>((resolve) => echo.listen(0, '127.0.0.1', resolve))
    opened.push(() => echo.close())
    const address = echo.address()
    const echoPort = address !== null && typeof address === 'object' ? address.port : 0
    const path = join(folder, 'master')
    const forwards = [
      '-L',
      `127.0.0.1:${localPort}:127.0.0.1:7777`,
      '-R',
      `127.0.0.1:${remotePort}:127.0.0.1:${echoPort}`,
    ]
    const master = plain.ssh(['-N', '-M', '-S', path, ...forwards, 't'], { limit: LONG })
    await until('the forwards', () =>
      exchange(localPort, 'ready')
        .then((got) => got === 'ready')
        .catch(() => false),
    )

    const data = randomBytes(24 * 1024 * 1024)
    const file = join(folder, 'data')
    writeFileSync(file, data)
    mkdirSync(join(folder, 'tree'))
    for (let index = 0; index < 60; index++)
      writeFileSync(join(folder, 'tree', `f${index}`), data.subarray(index * 100_000, index * 100_000 + 100_000))
    const rsh = `ssh -F ${plain.config}`
    const put = run('scp', ['-q', '-l', '12000', '-F', plain.config, file, 't:put'], { limit: LONG })
    const tree = run('rsync', ['-a', '--bwlimit=400', '-e', rsh, join(folder, 'tree'), 't:'], { limit: LONG })
    const got = plain.exec('for i in $(seq 200); do head -c 100000 /dev/zero; sleep 0.1; done', { limit: LONG })
    const freshClient = await client(to, `+${T}`)
    const fresh = freshClient.exec('hostname; until [ -e /tmp/over ]; do sleep 0.1; done; echo whole', { limit: LONG })
    const made = () => docker('ps', '-q', '--filter', `label=hatchway.template=${T}`)
    await until('the fresh container', async () => (await made()) !== '')
    await sleep(1500)

    let over = false
    const logins: [number, string, string][] = []
    const visits = (async () => {
      while (!over) logins.push(said(await plain.exec('echo in', { limit: 60_000 })))
    })()
    await restart()
    // All of it is still served by the first gateway.
    const { stdout } = await hatchway('sessions', '--json')
    const rows: { gateway: number }[] = JSON.parse(stdout.toString())
    expect(rows.filter((row) => row.gateway === to.pid).length).toBeGreaterThanOrEqual(5)
    await restart()
    await sleep(1000)
    over = true
    await visits
    expect(logins.length).toBeGreaterThan(3)
    expect(logins.filter((one) => one.join() !== '0,in\n,')).toEqual([])

    shell.send('echo two-$((40+2))\r')
    await shell.expect('two-42')
    expect(await exchange(localPort, 'after')).toBe('after')
    const back = await container.inside(`printf back | nc -q 1 127.0.0.1 ${remotePort}`)
    expect(back.stdout.toString()).toBe('back')
    expect(said(await plain.ssh(['-S', path, 't', 'echo next']))).toEqual([0, 'next\n', ''])
    expect((await made()).split('\n')).toHaveLength(1)

    expect(said(await put)).toEqual([0, '', ''])
    expect(said(await tree)).toEqual([0, '', ''])
    expect((await got).stdout.length).toBe(20_000_000)
    const sums = await container.inside('sha256sum /home/dev/put; cat /home/dev/tree/f? /home/dev/tree/f?? | wc -c')
    expect(sums.stdout.toString()).toContain(sha256(data))
    expect(sums.stdout.toString()).toMatch(/^6000000$/m)
    for (const name of ['f0', 'f59']) {
      const inside = await container.inside(`sha256sum <'/home/dev/tree/${name}'`)
      expect(inside.stdout.toString().slice(0, 64)).toBe(sha256(readFileSync(join(folder, 'tree', name))))
    }
    await docker('exec', (await made()).trim(), 'touch', '/tmp/over')
    expect((await fresh).stdout.toString()).toMatch(/\nwhole\n$/)
    await until('the fresh container is gone', async () => (await made()) === '')
    shell.send('exit 7\r')
    expect(await shell.exit()).toBe(7)
    await plain.ssh(['-S', path, '-O', 'exit', 't'])
    await master
    await until('the first gateway has done its work', async () => {
      const { stdout } = await hatchway('connections', '--json')
      return !stdout.toString().includes(`"gateway": ${to.pid}`) && to.log().includes('"msg":"stopped"')
    })
    expect(said(await plain.exec('echo still'))).toEqual([0, 'still\n', ''])
  })

  it('after the program’s files were replaced: the old version serves on, in all that it has, and the new one is new', async () => {
    const top = join(folder, 'program')
    const source = join(MAIN, '../..')
    mkdirSync(top)
    cpSync(join(source, 'dist'), join(top, 'dist'), { recursive: true })
    for (const name of ['node_modules', 'config', 'guest']) symlinkSync(join(source, name), join(top, name))
    const version = (text: string) =>
      readFileSync(join(source, 'package.json'), 'utf8').replace(/"version": "[^"]+"/, `"version": "${text}"`)
    writeFileSync(join(top, 'package.json'), version('7.0.1'))
    const to = await gateway({ HATCHWAY_LOG_LEVEL: 'debug' }, join(top, 'dist/main.js'))
    await until('all of it is loaded', () => to.log().includes('the whole program is loaded'))
    const plain = await client(to)
    const path = join(folder, 'master')
    const master = plain.ssh(['-N', '-M', '-S', path, 't'], { limit: LONG })
    await until('the master', async () => (await plain.ssh(['-S', path, '-O', 'check', 't'])).code === 0)

    rmSync(join(top, 'dist'), { recursive: true })
    rmSync(join(top, 'guest'))
    writeFileSync(join(top, 'package.json'), version('7.0.2'))
    const failed = await hatchway('restart')
    expect([failed.code, failed.stderr.toString()]).toEqual([1, expect.stringContaining('this one goes on: ')])
    expect(said(await plain.exec('echo new'))).toEqual([0, 'new\n', ''])
    cpSync(join(source, 'dist'), join(top, 'dist'), { recursive: true })
    symlinkSync(join(source, 'guest'), join(top, 'guest'))
    const done = await hatchway('restart')
    expect([done.code, done.stdout.toString()]).toEqual([0, expect.stringContaining('(7.0.2) has taken over')])

    expect(said(await plain.ssh(['-S', path, 't', 'echo old']))).toEqual([0, 'old\n', ''])
    const copied = await run('scp', ['-q', '-F', plain.config, '-o', `ControlPath=${path}`, MAIN, 't:main.js'])
    expect(said(copied)).toEqual([0, '', ''])
    const held = plain.exec('until [ -e /tmp/replaced ]; do sleep 0.1; done', { limit: LONG })
    const shown = await until('both are shown', async () => {
      const { stdout } = await hatchway('connections')
      return / 7\.0\.1 \(draining\)/.test(stdout.toString()) && / 7\.0\.2 *$/m.test(stdout.toString())
    })
    expect(shown).toBe(true)
    await container.inside('touch /tmp/replaced')
    expect((await held).code).toBe(0)
    await plain.ssh(['-S', path, '-O', 'exit', 't'])
    await master
  })

  it('while the engine hangs: both serve what they can, and sessions go on with it', async () => {
    const hanging = await startHangingEngine()
    opened.push(() => hanging.close())
    const to = await gateway({ DOCKER_HOST: hanging.endpoint })
    const plain = await client(to)
    const shell = plain.terminal(['-t', '-t', 't'])
    shell.send('echo one-$((40+2))\r')
    await shell.expect('one-42')
    hanging.hang(/./)
    await restart()
    shell.send('echo two-$((40+2))\r')
    await shell.expect('two-42')
    const refused = await plain.exec('true', { limit: 90_000 })
    expect(refused.code).toBe(255)
    expect(refused.stderr.toString()).toContain('did not answer within')
    hanging.release()
    await until('the engine is back', async () => (await plain.exec('true', { limit: 60_000 })).code === 0)
    shell.send('exit 7\r')
    expect(await shell.exit()).toBe(7)
  })
})
