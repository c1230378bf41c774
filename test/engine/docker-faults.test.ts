/** The Docker API driver against engines that hang, lie, are missing or refuse. */
import { mkdtemp, rm } from 'node:fs/promises'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { afterEach, describe, expect, it } from 'vitest'
import { createDockerEngine } from '../../src/engine/docker/docker.ts'
import type { Engine } from '../../src/engine/engine.ts'
import { docker, startContainer } from '../support/containers.ts'
import { startHangingEngine } from '../support/hanging-engine.ts'
import { until } from '../support/wait.ts'
import { runIn } from './run.ts'

const closers: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close()
})

const soon = () => AbortSignal.timeout(20_000)
const VERSION = '{"Version":"20.10.24","ApiVersion":"1.41","MinAPIVersion":"1.12","Arch":"amd64"}'
const CREATED = 'HTTP/1.1 201 Created\r\nContent-Length: 13\r\n\r\n{"Id":"e1e1"}'
const ok = (json: string) => `HTTP/1.1 200 OK\r\nContent-Length: ${json.length}\r\n\r\n${json}`

/** An engine that answers each request by what `answer` says of its first line; undefined: never. */
async function fake(answer: (line: string, socket: net.Socket) => string | Buffer | undefined): Promise<Engine> {
  const home = await mkdtemp(join(tmpdir(), 'hw-test-fake-'))
  const sockets = new Set<net.Socket>()
  const server = net.createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.on('data', (data) => {
      const reply = answer(data.toString('latin1').split('\r\n')[0] ?? '', socket)
      if (reply !== undefined) socket.write(reply)
    })
  })
  await new Promise<void>((resolve) => server.listen(join(home, 's'), resolve))
  const engine = createDockerEngine({ endpoint: `unix://${home}/s`, callDeadline: 500, startDeadline: 500 })
  closers.push(async () => {
    await engine.close()
    for (const socket of sockets) socket.destroy()
    await new Promise((resolve) => server.close(resolve))
    await rm(home, { recursive: true })
  })
  return engine
}

/** `create` answers 201; `start` what is given. */
const starting = (start: (socket: net.Socket) => string | Buffer | undefined) =>
  fake((line, socket) => {
    if (line.includes('/version')) return ok(VERSION)
    if (line.includes('/start')) return start(socket)
    return /containers\/.*\/exec /.test(line) ? CREATED : undefined
  })

const UPGRADED = 'HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n'
const ID = 'a'.repeat(64)

describe('engine docker against a faulty engine', () => {
  it('says within the deadline that a hanging engine does not answer', async () => {
    const engine = await fake(() => undefined)
    const before = Date.now()
    for (const call of [engine.info(soon()), engine.list(soon()), engine.inspect('web', soon())]) {
      await expect(call).rejects.toMatchObject({ code: 'ENGINE_TIMEOUT' })
    }
    expect((await runIn(engine, ID, ['true'])).error?.code).toBe('ENGINE_TIMEOUT')
    expect(Date.now() - before).toBeLessThan(3000)
  })

  it('says that the socket is missing, and that it is refused', async () => {
    const missing = createDockerEngine({ endpoint: 'unix:///nonexistent/hw.sock' })
    closers.push(() => missing.close())
    await expect(missing.list(soon())).rejects.toMatchObject({
      code: 'ENGINE_UNAVAILABLE',
      message: 'the container engine is not reachable (its socket is missing)',
    })
    expect((await runIn(missing, ID, ['true'])).error?.code).toBe('ENGINE_UNAVAILABLE')
    const refused = createDockerEngine({ endpoint: 'tcp://127.0.0.1:1' })
    closers.push(() => refused.close())
    await expect(refused.list(soon())).rejects.toMatchObject({
      code: 'ENGINE_UNAVAILABLE',
      message: 'the container engine is not reachable (connection refused)',
    })
  })

  it('survives garbage instead of HTTP, of JSON, and of the shape it expects', async () => {
    const noise = await fake(() => 'SSH-2.0-OpenSSH_9.2\r\n\r\n')
    await expect(noise.list(soon())).rejects.toMatchObject({ code: 'ENGINE_ERROR' })
    for (const body of ['{', '[]', '"x"', '{"Version":1}', '[1,2']) {
      const engine = await fake((line) => ok(line.includes('/version') ? VERSION : body))
      await expect(engine.inspect('web', soon()), body).rejects.toMatchObject({ code: 'ENGINE_ERROR' })
    }
  })

  it('does not build a path from an exec id that is none', async () => {
    const engine = await fake((line) => {
      if (line.includes('/version')) return ok(VERSION)
      return 'HTTP/1.1 201 Created\r\nContent-Length: 23\r\n\r\n{"Id":"../../x?y=1 z" }'
    })
    expect((await runIn(engine, ID, ['true'])).error?.code).toBe('ENGINE_ERROR')
  })

  it('says ENGINE_LOST when the engine hangs up in the middle of an answer', async () => {
    const engine = await fake((line, socket) => {
      if (line.includes('/version')) return ok(VERSION)
      socket.end('HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n[{"Id":')
      return undefined
    })
    await expect(engine.list(soon())).rejects.toMatchObject({ code: 'ENGINE_LOST' })
  })

  it('gives up on a start that is never answered', async () => {
    const engine = await starting(() => undefined)
    expect((await runIn(engine, ID, ['true'])).error?.code).toBe('ENGINE_TIMEOUT')
  })

  it('takes a stream that is not in frames for what it is', async () => {
    const engine = await starting(() => `${UPGRADED}plain text, no frames here`)
    const ran = await runIn(engine, ID, ['true'])
    expect([ran.error?.code, ran.text]).toEqual(['ENGINE_ERROR', ''])
  })

  it('asks for the version once, however many wait for it, and again after a failure', async () => {
    let asked = 0
    const engine = await fake((line) => {
      if (!line.includes('/version')) return ok('[]')
      return ++asked === 1 ? 'HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n' : ok(VERSION)
    })
    const list = () => engine.list(AbortSignal.timeout(5000))
    await Promise.all(Array.from({ length: 20 }, () => expect(list()).rejects.toMatchObject({ code: 'ENGINE_ERROR' })))
    expect(asked).toBe(1)
    expect(await Promise.all(Array.from({ length: 20 }, list))).toHaveLength(20)
    expect(asked).toBe(2)
  })

  it('reads frames whose headers come byte by byte', async () => {
    const frame = Buffer.from([1, 0, 0, 0, 0, 0, 0, 3, 97, 98, 99, 2, 0, 0, 0, 0, 0, 0, 1, 100])
    const engine = await starting((socket) => {
      void (async () => {
        for (const byte of Buffer.concat([Buffer.from(UPGRADED), frame])) {
          socket.write(Buffer.from([byte]))
          await delay(1)
        }
      })()
      return undefined
    })
    await runIn(engine, ID, ['true'], {
      stdin: null,
      async during(exec, { out, err }) {
        await until('both frames', () => `${out()}|${err()}` === 'abc|d')
        exec.close()
      },
    })
  })

  it('sends nothing of stdin before the stream is there', async () => {
    let early = ''
    const engine = await starting((socket) => {
      setTimeout(() => {
        socket.removeAllListeners('data')
        socket.on('data', (data) => (early += data.toString()))
        socket.write(UPGRADED)
      }, 200)
      socket.on('data', () => (early += 'too early;'))
      return undefined
    })
    await runIn(engine, ID, ['cat'], {
      stdin: 'hello',
      async during(exec) {
        await until('it comes', () => early === 'hello')
        exec.close()
      },
    })
  })

  it('says ENGINE_LOST when the engine dies under a program', async () => {
    let gone = false
    const engine = await fake((line, socket) => {
      if (gone) return void socket.destroy()
      if (line.includes('/version')) return ok(VERSION)
      if (!line.includes('/start')) return CREATED
      gone = true
      setTimeout(() => socket.destroy(), 100)
      return UPGRADED
    })
    const ran = await runIn(engine, ID, ['cat'], { stdin: null })
    expect([ran.status, ran.error?.code]).toEqual([undefined, 'ENGINE_LOST'])
  })

  it('does not wait for ever for a container whose /etc/passwd is a FIFO, and serves the others', async () => {
    const [hostile, other] = [await startContainer('busybox'), await startContainer('busybox')]
    closers.push(
      () => hostile.remove(),
      () => other.remove(),
    )
    await hostile.inside('rm /etc/passwd; mkfifo /etc/passwd')
    const engine = createDockerEngine({ endpoint: 'unix:///var/run/docker.sock', startDeadline: 2000 })
    closers.push(() => engine.close())
    const ran = await runIn(engine, hostile.id, ['true'], { user: 'dev', stdin: null })
    expect(ran.error?.code).toBe('ENGINE_TIMEOUT')
    expect((await runIn(engine, other.id, ['true'], { user: 'dev' })).status).toEqual({ code: 0 })
  })

  it('says that the container was stopped when it was, between the making of a program and its start', async () => {
    const [proxy, container] = [await startHangingEngine(), await startContainer('busybox')]
    const engine = createDockerEngine({ endpoint: proxy.endpoint })
    closers.push(
      () => container.remove(),
      () => proxy.close(),
      () => engine.close(),
    )
    proxy.hang(/^POST \S*\/exec\/[^/]*\/start/)
    const running = runIn(engine, container.id, ['true'])
    await until('the start is asked for', () => proxy.lost.length > 0)
    await docker('kill', container.id)
    await until(
      'it is stopped',
      async () => (await docker('inspect', '-f', '{{.State.Status}}', container.id)) === 'exited',
    )
    proxy.release()
    expect((await running).error?.code).toBe('CONTAINER_NOT_RUNNING')
  })
})
