/**
 * A swarm of real dockerds with TLS: each in a network namespace of its own, all of them on a bridge in one more, to which this
 * machine has a cable. Nothing of the machine's own network rules is touched. Needs root.
 */
import { spawn } from 'node:child_process'
import { chmod, mkdir, mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TlsPaths } from '../../src/engine/docker/address.ts'
import { run } from './run.ts'
import { until } from './wait.ts'

export interface SwarmHost {
  readonly name: string
  readonly endpoint: string
  /** Its docker, past what is tested. */
  control(...args: string[]): Promise<string>
  /** Ends the daemon, and its containers with it. */
  stop(): Promise<void>
  start(): Promise<void>
}

export interface Swarm {
  /** The first one is the manager. */
  readonly hosts: readonly [SwarmHost, ...SwarmHost[]]
  readonly tls: TlsPaths
  /** With a client's certificate of another authority. */
  readonly strange: TlsPaths
  /** A service of busybox; resolves when all of its tasks run. */
  service(name: string, tasks: number | 'global', ...options: string[]): Promise<void>
  close(): Promise<void>
}

/** Why it cannot be tried here; undefined when it can. */
export async function whyNoSwarm(): Promise<string | undefined> {
  if (process.getuid?.() !== 0) return 'dockerds of our own need root'
  for (const program of ['dockerd', 'ip', 'openssl', 'nsenter']) {
    if ((await run('sh', ['-c', `command -v ${program}`])).code !== 0) return `${program} is not installed`
  }
  return undefined
}

async function must(file: string, args: readonly string[], limit = 60_000): Promise<string> {
  const { code, stdout, stderr } = await run(file, args, { limit })
  if (code !== 0) throw new Error(`${file} ${args.join(' ')}: ${stderr.toString().trim() || stdout.toString().trim()}`)
  return stdout.toString().trim()
}

export async function startSwarm(count = 3): Promise<Swarm> {
  const home = await mkdtemp(join(tmpdir(), 'hw-test-swarm-'))
  await chmod(home, 0o711)
  // Of names and addresses: several may run at once.
  const mark = process.pid % 1000
  const net = `10.213.${process.pid % 250}`
  const hub = `hwsw${mark}h`
  const namespaces = [hub]
  const closers: (() => Promise<unknown>)[] = []
  const close = async () => {
    for (const closer of closers.splice(0).reverse()) await closer().catch(() => {})
    for (const name of namespaces) await run('ip', ['netns', 'del', name])
    await run('ip', ['link', 'del', `hwsw${mark}`])
    await run('sh', ['-c', `grep -o '${home}/[^ ]*' /proc/self/mounts | sort -r | xargs -r umount -l`])
    await rm(home, { recursive: true, force: true })
  }
  try {
    await must('ip', ['netns', 'add', hub])
    await must('sh', [
      '-ec',
      `ip -n ${hub} link set lo up
      ip -n ${hub} link add br0 type bridge
      ip -n ${hub} link set br0 up
      ip link add hwsw${mark} type veth peer name cable netns ${hub}
      ip -n ${hub} link set cable master br0 up
      ip addr add ${net}.254/24 dev hwsw${mark}
      ip link set hwsw${mark} up`,
    ])
    const ours = await authority(join(home, 'pki'), net, count)
    const strange = await authority(join(home, 'strange'), net, 0)
    const hosts: SwarmHost[] = []
    for (let index = 1; index <= count; index++) {
      const namespace = `hwsw${mark}n${index}`
      namespaces.push(namespace)
      await must('sh', [
        '-ec',
        `ip netns add ${namespace}
        ip -n ${namespace} link set lo up
        ip -n ${namespace} link add eth0 type veth peer name n${index} netns ${hub}
        ip -n ${hub} link set n${index} master br0 up
        ip -n ${namespace} addr add ${net}.${index}/24 dev eth0
        ip -n ${namespace} link set eth0 up`,
      ])
      hosts.push(host(home, namespace, index, `${net}.${index}`, ours))
    }
    // Images are loaded one after the other, daemons start together.
    await Promise.all(hosts.map((one) => one.start()))
    for (const [index, one] of hosts.entries()) {
      closers.push(() => one.stop())
      const load = `docker save hatchway-busybox:latest | docker -H unix://${home}/n${index + 1}/docker.sock load -q`
      await must('sh', ['-c', load], 120_000)
    }
    const [manager, ...workers] = hosts
    if (manager === undefined) throw new Error('a swarm has one node at least')
    await manager.control('swarm', 'init', '--advertise-addr', `${net}.1`, '--listen-addr', `${net}.1:2377`)
    const token = await manager.control('swarm', 'join-token', '-q', 'worker')
    for (const [index, worker] of workers.entries()) {
      const own = `${net}.${index + 2}`
      const where = ['--advertise-addr', own, '--listen-addr', `${own}:2377`, `${net}.1:2377`]
      await worker.control('swarm', 'join', '--token', token, ...where)
    }
    closers.push(async () => {
      const services = await manager.control('service', 'ls', '-q')
      const ids = services.split('\n').filter(Boolean)
      if (ids.length > 0) await manager.control('service', 'rm', ...ids)
      for (const one of hosts) {
        const left = (await one.control('ps', '-aq')).split('\n').filter(Boolean)
        if (left.length > 0) await one.control('rm', '-f', ...left)
      }
    })
    return {
      hosts: [manager, ...workers],
      tls: clientFiles(ours, ours),
      strange: clientFiles(ours, strange),
      async service(name, tasks, ...options) {
        const many = tasks === 'global' ? ['--mode', 'global'] : ['--replicas', String(tasks)]
        const soon = ['--restart-delay', '200ms', '--stop-grace-period', '1s', '--no-resolve-image', '--detach']
        const image = ['hatchway-busybox:latest', 'sleep', '100000']
        await manager.control('service', 'create', '--name', name, ...many, ...soon, ...options, ...image)
        const wanted = tasks === 'global' ? count : tasks
        const running = async () => {
          const format = ['--filter', 'desired-state=running', '--format', '{{.CurrentState}}']
          const states = await manager.control('service', 'ps', name, ...format)
          return states.split('\n').filter((state) => state.startsWith('Running')).length === wanted
        }
        await until(`the tasks of ${name} run`, running, 60_000, 300)
      },
      close,
    }
  } catch (error) {
    await close()
    throw error
  }
}

interface Authority {
  readonly folder: string
  readonly client: string
}

/** A certificate authority with a client, and a server for each node. */
async function authority(folder: string, net: string, count: number): Promise<Authority> {
  const client = join(folder, 'client')
  await mkdir(client, { recursive: true })
  const openssl = (...args: string[]) => must('openssl', args)
  const ca = [join(folder, 'ca.pem'), join(folder, 'ca-key.pem')] as const
  const request = ['req', '-newkey', 'rsa:2048', '-nodes']
  await openssl(...request, '-x509', '-days', '30', '-subj', '/CN=hatchway test', '-out', ca[0], '-keyout', ca[1])
  const issue = async (name: string, names: string, cert: string, key: string) => {
    await openssl(...request, '-subj', `/CN=${name}`, '-out', `${cert}.csr`, '-keyout', key)
    await writeFile(`${cert}.ext`, `subjectAltName=${names}\nextendedKeyUsage=serverAuth,clientAuth\n`)
    const sign = ['x509', '-req', '-in', `${cert}.csr`, '-CA', ca[0], '-CAkey', ca[1], '-CAcreateserial', '-days', '30']
    await openssl(...sign, '-out', cert, '-extfile', `${cert}.ext`)
  }
  for (let index = 1; index <= count; index++) {
    const names = `IP:${net}.${index},DNS:node${index}`
    await issue(`node${index}`, names, join(folder, `node${index}.pem`), join(folder, `node${index}-key.pem`))
  }
  await issue('client', 'DNS:client', join(client, 'cert.pem'), join(client, 'key.pem'))
  await must('cp', [ca[0], join(client, 'ca.pem')])
  return { folder, client }
}

function host(home: string, namespace: string, index: number, ip: string, ours: Authority): SwarmHost {
  const folder = join(home, `n${index}`)
  const local = `unix://${folder}/docker.sock`
  let end = async () => {}
  const control = (...args: string[]) => must('docker', ['-H', local, ...args])
  return {
    name: `node${index}`,
    endpoint: `tcp://${ip}:2376`,
    control,
    async start() {
      await mkdir(join(folder, 'etc'), { recursive: true })
      const log = await open(join(folder, 'log'), 'a')
      // Its id is in /etc/docker. The mounts of its containers have to outlive it, where it is killed and starts again.
      const enter = `hostname node${index}; mkdir -p /etc/docker; mount --bind ${folder}/etc /etc/docker; exec "$@"`
      const tls = [
        '--tlsverify',
        '--tlscacert',
        join(ours.folder, 'ca.pem'),
        '--tlscert',
        join(ours.folder, `node${index}.pem`),
      ]
      const child = spawn(
        'nsenter',
        [
          ...[
            `--net=/run/netns/${namespace}`,
            'unshare',
            '--mount',
            '--uts',
            '--propagation',
            'slave',
            'sh',
            '-c',
            enter,
            'sh',
          ],
          ...[
            'dockerd',
            '--data-root',
            `${folder}/data`,
            '--exec-root',
            `${folder}/exec`,
            '--pidfile',
            `${folder}/pid`,
          ],
          ...['-H', local, '-H', `tcp://${ip}:2376`, ...tls, '--tlskey', join(ours.folder, `node${index}-key.pem`)],
          ...['--shutdown-timeout', '1'],
        ],
        { stdio: ['ignore', log.fd, log.fd] },
      )
      await log.close()
      const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()))
      end = async () => {
        child.kill('SIGTERM')
        const limit = setTimeout(() => child.kill('SIGKILL'), 15_000)
        await gone
        clearTimeout(limit)
        const left = async () => (await run('pgrep', ['-f', `containerd --config ${folder}/`])).code === 0
        await until('its containerd is gone', async () => !(await left()), 20_000)
        await rm(`${folder}/exec/containerd/containerd.pid`, { force: true })
      }
      try {
        await until(
          'dockerd answers',
          async () => (await run('docker', ['-H', local, 'version'])).code === 0,
          60_000,
          300,
        )
      } catch (error) {
        throw new Error(`dockerd: ${(await readFile(join(folder, 'log'), 'utf8')).slice(-2000)}`, { cause: error })
      }
    },
    stop: () => end(),
  }
}

function clientFiles(server: Authority, client: Authority): TlsPaths {
  return {
    ca: join(server.folder, 'ca.pem'),
    cert: join(client.client, 'cert.pem'),
    key: join(client.client, 'key.pem'),
  }
}
