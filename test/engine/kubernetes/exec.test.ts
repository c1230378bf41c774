import { createHash, randomBytes } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { WebSocket } from 'ws'
import type { ExecSpec } from '../../../src/engine/engine.ts'
import { createKubernetesEngine } from '../../../src/engine/kubernetes/kubernetes.ts'
import { type KubeApi, podJson, startKubeApi } from '../../support/kube-api.ts'
import { until } from '../../support/wait.ts'
import { type RunRequest, runIn } from '../run.ts'

const ID = 'shop/uid-a/main'
const soon = () => AbortSignal.timeout(20_000)
let api: KubeApi
let engine: ReturnType<typeof createKubernetesEngine>

beforeEach(async () => {
  api = await startKubeApi()
  api.set(podJson('a'))
  engine = createKubernetesEngine({ access: api.access, startDeadlineMs: 20_000 })
})
afterEach(async () => {
  await engine.close()
  await api.close()
})

const run = (argv: ExecSpec['argv'], request: RunRequest = {}) =>
  runIn(engine, ID, argv, { user: '', cwd: '', ...request })
const sh = (script: string, request: RunRequest = {}) => run(['sh', '-c', script], request)

describe.each([['v5.channel.k8s.io'], ['v4.channel.k8s.io']])('over %s', (protocol) => {
  beforeEach(() => {
    api.protocols = [protocol]
  })

  test('keeps stdout and stderr apart, and tells exit codes', async () => {
    const ran = await sh('echo out; echo err >&2; exit 7', { stdin: null })
    expect([ran.text, ran.err.toString(), ran.status]).toEqual(['out\n', 'err\n', { code: 7 }])
    for (const code of [0, 1, 126, 127, 255]) {
      expect((await sh(`exit ${code}`, { stdin: null })).status).toEqual({ code })
    }
  })

  test('a program that was killed alone is nothing but that', async () => {
    expect((await sh('kill -9 $$', { stdin: null })).status).toEqual({ code: 137 })
  })

  test('a missing command is 127 and a line on stderr', async () => {
    const ran = await run(['/no/such/program'], { stdin: null })
    expect([ran.status, ran.err.toString()]).toEqual([{ code: 127 }, 'hatchway: /no/such/program: command not found\n'])
  })

  test('carries 20 MB in, unchanged, through lent memory', async () => {
    const bytes = randomBytes(20_000_000)
    const lent = Buffer.alloc(100_000)
    const ran = await sh(`head -c ${bytes.length} | sha256sum`, {
      stdin: null,
      async during({ stdin }) {
        for (let at = 0; at < bytes.length; at += lent.length) {
          bytes.copy(lent, 0, at)
          await new Promise<void>((resolve) => stdin.write(lent, () => resolve()))
          lent.fill(0)
        }
      },
    })
    expect(ran.text.split(' ')[0]).toBe(createHash('sha256').update(bytes).digest('hex'))
  })

  test('a stream that is torn is never an exit code', async () => {
    for (const how of ['terminate', 'close'] as const) {
      const ran = await sh('echo ready; sleep 100', {
        stdin: null,
        async during(_exec, { out }) {
          await until('it runs', () => out().includes('ready'))
          for (const socket of api.sockets) socket[how]()
        },
      })
      expect([ran.status, ran.error?.code]).toEqual([undefined, 'ENGINE_LOST'])
    }
  })

  test('of a pod that went with its stream, that is what is said', async () => {
    const ran = await sh('echo ready; sleep 100', {
      stdin: null,
      async during(_exec, { out }) {
        await until('it runs', () => out().includes('ready'))
        api.remove('a')
        for (const socket of api.sockets) socket.terminate()
      },
    })
    expect([ran.error?.code, ran.error?.message]).toEqual(['CONTAINER_GONE', 'container main.a.shop was removed'])
  })

  test('takes what a program leaves on its way out, however slow the reader is', async () => {
    let size = 0
    let resume = () => {}
    const sink = {
      write(_fd: 1 | 2, chunk: Buffer) {
        size += chunk.length
        setTimeout(() => resume(), 5)
        return false
      },
    }
    const exec = await engine.exec(
      ID,
      { argv: ['head', '-c', '3000000', '/dev/zero'], user: '', cwd: '', env: [] },
      sink,
      soon(),
    )
    resume = exec.resume
    exec.resume()
    expect(await exec.exit).toEqual({ code: 0 })
    expect(size).toBe(3_000_000)
  })
})

test('v5 closes stdin, and what comes after still comes', async () => {
  const ran = await sh('cat; sleep 0.2; echo after; exit 6', { stdin: 'input\n' })
  expect([ran.text, ran.status]).toEqual(['input\nafter\n', { code: 6 }])
  expect((await sh('wc -c', { stdin: '' })).text.trim()).toBe('0')
})

test('v4 leaves stdin open: its protocol has no end of it', async () => {
  api.protocols = ['v4.channel.k8s.io']
  const ran = await sh('cat; echo never', { stdin: 'input\n', limit: 1000 })
  expect([ran.text, ran.status]).toEqual(['input\n', { signal: 'HUP', coreDumped: false }])
})

test('a server that refuses the newer protocol as a whole is asked for the older one', async () => {
  api.protocols = ['v4.channel.k8s.io']
  api.choosy = true
  expect((await sh('echo $((6*7))', { stdin: null })).text).toBe('42\n')
})

test('an exec that is forbidden is no container, and nothing is tried again', async () => {
  expect((await engine.list(soon())).map(({ name }) => name)).toEqual(['main.a.shop'])
  api.forbidsExec.add('shop')
  const execs = () => api.asked.filter((one) => one.endsWith('/exec')).length
  const before = execs()
  expect((await sh('true')).error).toMatchObject({ code: 'CONTAINER_NOT_FOUND', message: 'no container main.a.shop' })
  expect(execs()).toBe(before + 1)
  // From now on it is not there.
  expect(await engine.list(soon())).toEqual([])
})

test('no program of another user, directory or variable is started in silence', async () => {
  for (const other of [{ user: '0' }, { cwd: '/tmp' }, { env: ['A=b'] }]) {
    const spec = { argv: ['true'] as const, user: '', cwd: '', env: [], ...other }
    const starting = engine.exec(ID, spec, { write: () => true }, soon())
    await expect(starting).rejects.toMatchObject({ code: 'NOT_SUPPORTED' })
  }
  expect(api.asked.filter((one) => one.endsWith('/exec'))).toEqual([])
})

test('a pod that was made again under its name does not run what was asked of the one before', async () => {
  await engine.inspect(ID, soon())
  api.pods.delete('a')
  api.set(podJson('a', { uid: 'another' }))
  const ran = await sh('echo ran')
  expect([ran.text, ran.error?.code]).toEqual(['', 'CONTAINER_NOT_FOUND'])
})

test('what takes a pod’s name between the look at it and the exec begins nothing of what was asked for', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'hw-test-kube-'))
  const touch = (file: string) => run(['/bin/sh', '-c', `echo >${folder}/${file}; pwd`], { stdin: null })
  try {
    expect((await touch('before')).status).toEqual({ code: 0 })
    api.beforeExec = () => {
      api.pods.delete('a')
      api.set(podJson('a', { uid: 'another' }))
    }
    const ran = await touch('after')
    expect([ran.text, ran.error?.code, ran.error?.message]).toEqual([
      '',
      'CONTAINER_GONE',
      'container main.a.shop was removed',
    ])
    await until('its shell is told, and ends', async () => (await shellsOf(folder)) === 0)
    expect(await readdir(folder)).toEqual(['before'])
  } finally {
    await rm(folder, { recursive: true })
  }
})

async function shellsOf(words: string): Promise<number> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const lines = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')))
  return lines.filter((line) => line.includes(words)).length
}

test('a program that waited for its start has its stdin from the first byte on, and its arguments as they were', async () => {
  const argv = ['/bin/sh', '-c', 'printf "%s|" "$@"; head -c 6', 'sh', 'a b', '', '"$x"', '--'] as const
  const ran = await run(argv, { stdin: 'go\nmore' })
  expect([ran.text, ran.status]).toEqual(['a b||"$x"|--|go\nmor', { code: 0 }])
})

test.each([[['go\r\n', 'x']], [['g', 'o\r', '\nx']], [['go\r\nx']]])(
  'what a terminal echoes of the start is not shown: %j',
  async (pieces) => {
    api.onExec = async (socket) => {
      for (const piece of pieces) socket.send(Buffer.from(`\x01${piece}`))
      socket.send(Buffer.from(`\x03${JSON.stringify({ status: 'Success' })}`))
      socket.close()
    }
    const tty = { cols: 80, rows: 24 }
    expect((await run(['/bin/sh', '-c', 'x'], { stdin: null, tty })).text).toBe('x')
    // Of another program nothing is held back, and where nothing was echoed nothing is taken away.
    expect((await run(['x'], { stdin: null, tty })).text).toBe(pieces.join(''))
    pieces.splice(0, pieces.length, 'go', 'ne')
    expect((await run(['/bin/sh', '-c', 'x'], { stdin: null, tty })).text).toBe('gone')
  },
)

test.each([
  [
    'waits for its image',
    { containerStatuses: [{ name: 'main', state: { waiting: { reason: 'ImagePullBackOff' } } }] },
    'is not running (ImagePullBackOff)',
  ],
  ['has ended', { containerStatuses: [{ name: 'main', state: { terminated: { exitCode: 1 } } }] }, 'is stopped'],
])('a container that %s is not running, and says why', async (_name, status, words) => {
  api.set(podJson('a', { status }))
  const ran = await sh('true')
  expect([ran.error?.code, ran.error?.message]).toEqual(['CONTAINER_NOT_RUNNING', `container main.a.shop ${words}`])
})

test.each([
  ['evicted', { reason: 'Evicted', phase: 'Failed' }, 'was evicted from its node'],
  [
    'out of memory',
    {
      containerStatuses: [
        {
          name: 'main',
          containerID: 'x',
          state: { waiting: {} },
          lastState: { terminated: { reason: 'OOMKilled', exitCode: 137 } },
        },
      ],
    },
    'ran out of memory',
  ],
  [
    'restarted',
    {
      containerStatuses: [
        { name: 'main', containerID: 'x', state: { running: { startedAt: '2026-02-01T00:00:00Z' } } },
      ],
    },
    'was restarted',
  ],
])('137 of a container that was %s is that', async (_name, status, words) => {
  const ran = await sh('echo ready; sleep 0.5; kill -9 $$', {
    stdin: null,
    async during(_exec, { out }) {
      await until('it runs', () => out().includes('ready'))
      api.set(podJson('a', { status }))
    },
  })
  expect([ran.error?.code, ran.error?.message]).toEqual(['CONTAINER_GONE', `container main.a.shop ${words}`])
})

test('a proxy that refuses the upgrade is no word of the API server', async () => {
  api.protocols = []
  expect((await sh('true')).error?.code).toBe('ENGINE_ERROR')
  expect((await engine.list(soon())).length).toBe(1)
})

test('an upgrade that is never answered ends at its limit, or with its caller', async () => {
  api.hangs = true
  const impatient = createKubernetesEngine({ access: api.access, startDeadlineMs: 300 })
  const spec = { argv: ['true'] as const, user: '', cwd: '', env: [] }
  const starting = impatient.exec(ID, spec, { write: () => true }, soon())
  await expect(starting).rejects.toMatchObject({ code: 'ENGINE_TIMEOUT' })
  await impatient.close()
  const gone = new AbortController()
  const other = engine.exec(ID, spec, { write: () => true }, gone.signal)
  await until('it is asked', () => api.asked.filter((one) => one.endsWith('/exec')).length === 2)
  gone.abort(new Error('client gone'))
  await expect(other).rejects.toThrow('client gone')
})

test('sizes a terminal first thing, and again; nothing of 0x0 is sent', async () => {
  const heard: string[] = []
  api.onExec = (socket: WebSocket, url) => {
    expect([url.searchParams.get('tty'), url.searchParams.get('stderr')]).toEqual(['true', 'false'])
    socket.on('message', (data: Buffer) => heard.push(data.toString('latin1')))
  }
  const spec = { argv: ['sh'] as const, user: '', cwd: '', env: [], tty: { cols: 121, rows: 37 } }
  const exec = await engine.exec(ID, spec, { write: () => true }, soon())
  exec.resize({ cols: 70_000, rows: 20 })
  exec.stdin.write('x')
  exec.stdin.end()
  await until('all came', () => heard.length === 4)
  expect(heard).toEqual(['\x04{"Width":121,"Height":37}', '\x04{"Width":65535,"Height":20}', '\x00x', '\x00\x04'])
  exec.close()
})

test('frames are what the protocol says, in whatever pieces they come', async () => {
  const status = JSON.stringify({
    status: 'Failure',
    reason: 'NonZeroExitCode',
    details: { causes: [{ reason: 'ExitCode', message: '9' }] },
  })
  api.onExec = async (socket) => {
    for (const channel of [0, 1, 2, 3]) socket.send(Buffer.from([channel]))
    socket.send(Buffer.from('\x01one'))
    socket.send(Buffer.from('\x02two'))
    socket.send(Buffer.from('\x07unknown'))
    socket.send(Buffer.from([255, 1]))
    socket.send(Buffer.from(`\x03${status.slice(0, 30)}`))
    await delay(50)
    socket.send(Buffer.from(`\x03${status.slice(30)}`))
    // Some servers leave it to us to close.
  }
  const ran = await run(['x'], { stdin: null })
  expect([ran.text, ran.err.toString(), ran.status]).toEqual(['one', 'two', { code: 9 }])
})

test('fifty starts at once are let through in turns', async () => {
  let most = 0
  let open = 0
  api.onExec = (socket) => {
    most = Math.max(most, ++open)
    setTimeout(() => {
      open--
      socket.send(Buffer.from(`\x03${JSON.stringify({ status: 'Success' })}`))
      socket.close()
    }, 50)
  }
  const all = await Promise.all(Array.from({ length: 50 }, () => run(['true'], { stdin: null })))
  expect(all.every(({ status }) => status && 'code' in status && status.code === 0)).toBe(true)
  expect(most).toBeLessThanOrEqual(8)
})

test('a stalled reader stalls the program, and not our memory', async () => {
  let given = 0
  const sink = {
    write(_fd: 1 | 2, chunk: Buffer) {
      given += chunk.length
      return false
    },
  }
  const spec = { argv: ['cat', '/dev/zero'] as const, user: '', cwd: '', env: [] }
  const exec = await engine.exec(ID, spec, sink, soon())
  await until('output', () => given > 0)
  await delay(500)
  const held = given
  expect(held).toBeLessThan(512 * 1024)
  await delay(500)
  expect(given).toBe(held)
  exec.close()
  expect(await exec.exit).toEqual({ signal: 'HUP', coreDumped: false })
})

test('a program that does not read stalls its writer', async () => {
  const spec = { argv: ['sleep', '100'] as const, user: '', cwd: '', env: [] }
  const exec = await engine.exec(ID, spec, { write: () => true }, soon())
  let taken = 0
  let feeding = true
  const feed = () =>
    exec.stdin.write(Buffer.alloc(64 * 1024), () => {
      taken++
      if (feeding) feed()
    })
  feed()
  let last = -1
  await until(
    'it stops taking',
    async () => {
      last = taken
      await delay(500)
      return taken === last
    },
    20_000,
  )
  feeding = false
  expect(taken * 64 * 1024).toBeLessThan(32 * 1024 * 1024)
  exec.close()
  exec.close()
  exec.stdin.write('nobody reads this')
  exec.resize({ cols: 1, rows: 1 })
})

test('a container says who it is, and is asked once a run', async () => {
  const execs = () => api.asked.filter((one) => one.endsWith('/exec')).length
  const [one, two] = await Promise.all([engine.inspect('main.a.shop', soon()), engine.inspect(ID, soon())])
  expect(one).toEqual(two)
  expect(one).toMatchObject({
    id: ID,
    name: 'main.a.shop',
    user: `${process.getuid?.()}:${process.getgid?.()}`,
    arch: process.arch,
    workdir: process.cwd(),
  })
  expect(one.env).toContain(`PATH=${process.env.PATH}`)
  await engine.inspect(ID, soon())
  expect(execs()).toBe(1)
})
