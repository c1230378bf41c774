/** Forwards beyond the parity suite: where -R listens, sockets that are in the way, and what is left without the helper. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect, createServer, type Server } from 'node:net'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { docker, startContainer, type TestContainer } from '../support/containers.ts'
import { type Gateway, startGateway } from '../support/gateway.ts'
import { freePort } from '../support/port.ts'
import { run } from '../support/run.ts'
import { type Keys, makeKeys, makeSshClient, type SshClient } from '../support/ssh.ts'
import { listens } from '../support/sshd.ts'
import { sleep, until } from '../support/wait.ts'

let keys: Keys
let container: TestContainer
/** On this machine, for what is forwarded out of the container. */
let here: Server
let herePort: number
const clients: ChildProcess[] = []
const gateways: Gateway[] = []
const logins: SshClient[] = []

beforeAll(async () => {
  keys = await makeKeys()
  container = await startContainer('debian')
  herePort = await freePort()
  here = createServer((socket) => {
    socket.on('error', () => {})
    socket.end('from here\n')
  }).listen(herePort, '127.0.0.1')
})
afterEach(async () => {
  for (const client of clients.splice(0)) client.kill('SIGKILL')
  for (const login of logins.splice(0)) await login.close()
  for (const gateway of gateways.splice(0)) await gateway.stop()
})
afterAll(async () => {
  here?.close()
  await container?.remove()
  await keys?.close()
})

async function login(
  args: readonly string[],
  guest: 'auto' | 'off' = 'auto',
  { name }: TestContainer = container,
): Promise<SshClient> {
  const gateway = await startGateway({ keys, engine: 'docker', guest, env: Object.fromEntries(args.map(setting)) })
  const client = await makeSshClient(gateway.target(`dev@${name}`))
  gateways.push(gateway)
  logins.push(client)
  return client
}
const setting = (text: string): [string, string] => text.split('=') as [string, string]

/** `ssh -N`, and all that it says. */
function hold(client: SshClient, ...args: string[]): { child: ChildProcess; said: () => string } {
  const child = spawn('ssh', ['-F', client.config, '-o', 'LogLevel=VERBOSE', '-N', ...args, 't'])
  let text = ''
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    text += chunk
  })
  clients.push(child)
  return { child, said: () => text }
}
const allocated = (said: () => string) =>
  until('a port was allocated', () => /Allocated port (\d+)/.exec(said())?.[1], 20_000).then(Number)
const inside = async (command: string) => (await container.inside(command, '1000')).stdout.toString()
/** The address of a listener of /proc/net/tcp, as the kernel writes it. */
const boundTo = async (port: number) =>
  inside(
    `grep -i ':${port.toString(16).padStart(4, '0')} 00000000:0000 0A' /proc/net/tcp /proc/net/tcp6 | awk '{print $3}'`,
  )

/** All that a port of this machine says; undefined: nobody listens there. */
function read(port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    let text = ''
    connect(port, '127.0.0.1')
      .on('data', (chunk: Buffer) => {
        text += chunk
      })
      .on('error', (error: NodeJS.ErrnoException) => resolve(error.code === 'ECONNREFUSED' ? undefined : text))
      .on('close', () => resolve(text))
  })
}

describe('-R listens', () => {
  test.each([
    ['no', '', '0100007F'],
    ['no', '0.0.0.0:', '0100007F'],
    ['no', '*:', '0100007F'],
    ['yes', 'localhost:', '00000000'],
    ['clientspecified', '', '0100007F'],
    ['clientspecified', 'localhost:', '0100007F'],
    ['clientspecified', '0.0.0.0:', '00000000'],
    ['clientspecified', '*:', '00000000'],
  ])('with GatewayPorts %s and "%s" on %s', async (ports, host, address) => {
    const client = await login([`HATCHWAY_GATEWAY_PORTS=${ports}`])
    const port = await allocated(hold(client, '-R', `${host}0:127.0.0.1:${herePort}`).said)
    expect(await boundTo(port)).toContain(`${address}:`)
    expect(await inside(`nc -d -w 5 127.0.0.1 ${port}`)).toBe('from here\n')
  })

  test('for those who connect in the moment it does, too, and ends nothing by that', async () => {
    const client = await login([])
    const port = await freePort()
    const session = spawn('ssh', ['-F', client.config, 't', 'cat'])
    clients.push(session)
    session.stdin.write('here')
    await once(session.stdout, 'data')
    // Ends by itself: after three answers, or when it is late.
    const knocks = `import socket, time
end, got = time.time() + 25, 0
while got < 3 and time.time() < end:
  try:
    with socket.create_connection(('127.0.0.1', ${port})) as s: got += s.recv(99) == b'from here\\n'
  except OSError: pass
  time.sleep(0.0005)
print(got)`
    const knocking = inside(`python3 -c "${knocks}"`)
    let heard: string | undefined
    void knocking.then((text) => {
      heard = text
    })
    while (heard === undefined) {
      let answered = false
      here.once('connection', () => {
        answered = true
      })
      const { child } = hold(client, '-o', 'ExitOnForwardFailure=yes', '-R', `${port}:127.0.0.1:${herePort}`)
      await until('it is taken', () => heard !== undefined || answered, 20_000)
      child.kill()
      await until('ssh is gone', () => child.exitCode !== null || child.signalCode !== null)
    }
    expect(heard).toBe('3\n')
    session.stdin.end()
    await once(session, 'exit')
    expect(session.exitCode).toBe(0)
  }, 60_000)

  test('before a dial that came behind it: nine pairs of -L and -R, each leading into the next', async () => {
    const client = await login([])
    for (let round = 0; round < 3; round++) {
      const near = await Promise.all(Array.from({ length: 9 }, freePort))
      const far = await Promise.all(Array.from({ length: 9 }, freePort))
      const pairs = far.map((port, i) => [
        ...['-L', `${near[i]}:127.0.0.1:${port}`],
        ...['-R', `${port}:127.0.0.1:${near[i + 1] ?? herePort}`],
      ])
      // The first one's listener is asked for last.
      const { child, said } = hold(client, ...pairs.reverse().flat())
      // ssh listens before it has asked for anything: no waiting for its -R.
      const heard = await until('ssh listens', () => read(near[0] ?? 0), 20_000, 5)
      expect(heard, said()).toBe('from here\n')
      child.kill()
      await once(child, 'exit')
    }
  }, 60_000)

  test('before the program of the session that was asked for behind it', async () => {
    const client = await login([])
    for (let round = 0; round < 3; round++) {
      const ports = await Promise.all(Array.from({ length: 20 }, freePort))
      const remote = ports.flatMap((port) => ['-R', `${port}:127.0.0.1:${herePort}`])
      const done = await client.ssh([...remote, 't', `nc -d -w 5 127.0.0.1 ${ports.at(-1)}`])
      expect(done.stdout.toString(), done.stderr.toString()).toBe('from here\n')
    }
  }, 60_000)

  test('as a SOCKS proxy of the client’s (-R PORT)', async () => {
    const client = await login([])
    const port = await allocated(hold(client, '-R', '0').said)
    expect(await inside(`nc -d -w 5 -X 5 -x 127.0.0.1:${port} 127.0.0.1 ${herePort}`)).toBe('from here\n')
  })
})

test('-R as a SOCKS proxy takes a request that ends with its last byte', async () => {
  const client = await login([])
  const port = await allocated(hold(client, '-R', '0').said)
  const request = [5, 1, 0, 5, 1, 0, 1, 127, 0, 0, 1, herePort >> 8, herePort & 255]
  const ask = `printf '${request.map((byte) => `\\${byte.toString(8)}`).join('')}' | nc -N -w 5 127.0.0.1 ${port} | tail -c 10`
  for (let round = 0; round < 5; round++) expect(await inside(ask)).toBe('from here\n')
})

describe('-R of a unix socket', () => {
  const path = '/home/dev/forward.sock'
  const left = `python3 -c "import socket; socket.socket(socket.AF_UNIX).bind('${path}')"`

  test('is refused where one is in the way, and leaves it there', async () => {
    const client = await login([])
    await inside(`rm -f ${path}; ${left}`)
    const { child } = hold(client, '-o', 'ExitOnForwardFailure=yes', '-R', `${path}:127.0.0.1:${herePort}`)
    await until('ssh gave up', () => child.exitCode !== null, 20_000)
    expect(child.exitCode).toBe(255)
    expect(await inside(`test -S ${path} && echo there; rm ${path}`)).toBe('there\n')
  })

  test('replaces it with StreamLocalBindUnlink, but no file; the mask decides its mode', async () => {
    const client = await login(['HATCHWAY_STREAM_LOCAL_BIND_UNLINK=true', 'HATCHWAY_STREAM_LOCAL_BIND_MASK=0117'])
    await inside(`rm -f ${path}; ${left}; echo precious >/home/dev/file`)
    hold(client, '-R', `${path}:127.0.0.1:${herePort}`)
    await until('it answers', async () => (await inside(`nc -d -w 5 -U ${path}`)) === 'from here\n', 20_000, 300)
    expect(await inside(`stat -c '%a %u' ${path}`)).toBe('660 1000\n')
    const { child } = hold(client, '-o', 'ExitOnForwardFailure=yes', '-R', `/home/dev/file:127.0.0.1:${herePort}`)
    await until('ssh gave up', () => child.exitCode !== null, 20_000)
    expect(await inside('cat /home/dev/file')).toBe('precious\n')
  })
})

describe('-R whose listener goes', () => {
  let own: TestContainer
  beforeEach(async () => {
    own = await startContainer('debian')
  })
  afterEach(() => own?.remove())

  const path = '/tmp/remote-forward.sock'
  /** `ssh -N` with a port of the server's choice and a unix socket; how to hear both. */
  async function listening() {
    const client = await login([], 'auto', own)
    const forwards = ['-R', `0:127.0.0.1:${herePort}`, '-R', `${path}:127.0.0.1:${herePort}`]
    const held = hold(client, '-o', 'ExitOnForwardFailure=yes', ...forwards)
    const port = await allocated(held.said)
    const hear = async (...where: string[]) =>
      (await own.inside(`nc -d -w 5 ${where.join(' ')}`, '1000')).stdout.toString()
    const both = async () => `${await hear('127.0.0.1', String(port))}${await hear('-U', path)}`
    await until('both answer', async () => (await both()) === 'from here\nfrom here\n')
    return { ...held, both }
  }

  test.each([
    ['with its container, which is restarted', () => docker('restart', '-t', '0', own.name)],
    ['with its helper, which is killed', () => own.inside('kill -9 $(pgrep hatchway-guest)')],
  ])('%s: listens again at the same place', async (_name, end) => {
    const { child, both, said } = await listening()
    await end()
    await until('both answer again', async () => (await both()) === 'from here\nfrom here\n', 15_000, 200)
    expect(child.exitCode, said()).toBe(null)
  })

  test('with a container that is stopped: it stays stopped, and is listened in when somebody starts it', async () => {
    const { both } = await listening()
    await docker('stop', '-t', '0', own.name)
    await sleep(2000)
    expect(await docker('inspect', '-f', '{{.State.Status}}', own.name)).toBe('exited')
    await docker('start', own.name)
    await until('both answer again', async () => (await both()) === 'from here\nfrom here\n', 15_000, 200)
  })

  test('with a container that is removed: ends its connection with a sentence, also where another has its name', async () => {
    const { child, said } = await listening()
    const { name } = own
    await docker('rm', '-f', name)
    own = await startContainer('debian', { name })
    await until('ssh has ended', () => child.exitCode !== null, 15_000)
    expect(child.exitCode).toBe(255)
    // What it said may come behind its end.
    await until('it says why', () => /hatchway: remote forward \S+ ended: container \S+ was removed/.test(said()))
  })
})

test.each(['0', '127.1', '0x7f000001', '2130706433', '0177.0.0.1', '0X7f.0.1'])(
  '-W to %s is to the address that inet_aton(3) reads there',
  async (host) => {
    const client = await login([])
    const serve = inside('echo "by number" | nc -N -w 10 -l 127.0.0.1 8004')
    await until('it listens', async () => (await boundTo(8004)) !== '')
    expect((await client.ssh(['-W', `${host}:8004`, 't'])).stdout.toString()).toBe('by number\n')
    await serve
  },
)

test('-W to port 0 is refused as a connection that failed, and the log has no fault of ours', async () => {
  const client = await login([])
  const { code, stderr } = await client.ssh(['-W', '127.0.0.1:0', 't'])
  expect(code).toBe(255)
  expect(stderr.toString()).not.toContain('internal error')
  expect(gateways.at(-1)?.log()).not.toContain('INTERNAL')
})

test.each(['127.1', '0x7f000001'])('-R on %s listens on the address that it means', async (host) => {
  const client = await login(['HATCHWAY_GATEWAY_PORTS=clientspecified'])
  const port = await allocated(hold(client, '-R', `${host}:0:127.0.0.1:${herePort}`).said)
  expect(await boundTo(port)).toContain('0100007F:')
  expect(await inside(`nc -d -w 5 127.0.0.1 ${port}`)).toBe('from here\n')
})

test('-L ends with a sentence where its container is gone, and finds a new one of that name when it is asked again', async () => {
  let own = await startContainer('debian')
  try {
    const client = await login([], 'auto', own)
    const local = await freePort()
    const listen = () => hold(client, '-L', `${local}:127.0.0.1:8003`)
    const { child, said } = listen()
    const serve = () =>
      own.inside('nohup sh -c "while :; do echo inside | nc -N -l 127.0.0.1 8003; done" >/dev/null 2>&1 &')
    const answers = () => until('it answers', async () => (await read(local)) === 'inside\n', 20_000, 100)
    await serve()
    await answers()
    await docker('rm', '-f', own.name)
    expect(await read(local)).toBe('')
    await until('ssh ends', () => child.exitCode === 255)
    await until('it says why', () => /open failed: connect failed: \S+ \(\w+\) is gone: connect again/.test(said()))
    own = await startContainer('debian', { name: own.name })
    await serve()
    listen()
    await answers()
  } finally {
    await own.remove()
  }
})

describe('without the helper', () => {
  let server: ChildProcess
  beforeAll(async () => {
    const serve = `for a in 0.0.0.0:8001 127.0.0.1:8002; do python3 -u -m http.server -b \${a%:*} -d /etc \${a#*:} & done; wait`
    server = spawn('docker', ['exec', container.name, 'sh', '-c', serve], { stdio: 'ignore' })
    await until('it serves', () => listens(container.address ?? '', 8001), 20_000)
  })
  afterAll(() => server?.kill())

  test('-L reaches the container by its address, and says what it cannot reach', async () => {
    const client = await login([], 'off')
    const [open, closed, other] = [await freePort(), await freePort(), await freePort()]
    const { said } = hold(
      client,
      ...['-L', `${open}:localhost:8001`, '-L', `${closed}:localhost:8002`, '-L', `${other}:192.0.2.1:80`],
    )
    await until('ssh listens', () => listens('127.0.0.1', other), 20_000)
    const got = await run('curl', ['-s', `http://127.0.0.1:${open}/hostname`])
    expect(got.stdout.toString()).toBe(await inside('cat /etc/hostname'))
    expect((await run('curl', ['-s', `http://127.0.0.1:${closed}/`])).code).not.toBe(0)
    await until('it says why', () => /nothing listens on .*:8002; .*loopback inside is out of reach/.test(said()))
    expect((await run('curl', ['-s', `http://127.0.0.1:${other}/`])).code).not.toBe(0)
    await until('it says why', () => /only the container itself can be reached/.test(said()))
  })

  test('-R, -A and X11 are refused, and the session goes on', async () => {
    const client = await login([], 'off')
    const agent = join(keys.dir, 'agent.sock')
    const started = spawn('ssh-agent', ['-D', '-a', agent], { stdio: 'ignore' })
    clients.push(started)
    await until('the agent listens', async () => (await run('test', ['-S', agent])).code === 0)
    const env = { SSH_AUTH_SOCK: agent, DISPLAY: '127.0.0.1:99' }
    const args = ['-v', '-A', '-Y', '-R', `0:127.0.0.1:${herePort}`, 't', 'echo "<$SSH_AUTH_SOCK$DISPLAY>"']
    const done = await client.ssh(args, { env })
    expect(done.stdout.toString()).toBe('<>\n')
    expect(done.code).toBe(0)
  })
})
