/** A containerd of its own for one test file, without dockerd: own root, state and socket; needs root. */
import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createGrpcChannel } from '../../src/engine/containerd/grpc.ts'
import { decodeMessage, encodeMessage } from '../../src/engine/containerd/protobuf.ts'
import { run } from './run.ts'
import { until } from './wait.ts'

export const CONTAINERD_NAMESPACE = 'hw-test'

export interface Containerd {
  readonly socket: string
  /** Where the test's engine keeps its pipes. */
  readonly folder: string
  readonly pid: number
  /** `ctr`, in the namespace of the tests. */
  ctr(...args: string[]): Promise<string>
  /** The words of the docker CLI, as far as the contract says them: containers have names as nerdctl gives them. */
  control(...args: string[]): Promise<string>
  /** Its containers live on. */
  stop(signal: 'SIGTERM' | 'SIGKILL'): Promise<void>
  start(): Promise<void>
  close(): Promise<void>
}

/** Why containerd cannot be tried here; undefined when it can. */
export async function whyNoContainerd(): Promise<string | undefined> {
  if (process.getuid?.() !== 0) return 'containerd is tried as root'
  const found = await run('sh', ['-c', 'command -v containerd && command -v ctr && command -v runc'])
  return found.code === 0 ? undefined : 'containerd and runc are not installed (apt-get install containerd runc)'
}

export async function startContainerd(images: readonly string[] = ['hatchway-busybox:latest']): Promise<Containerd> {
  const home = await mkdtemp(join(tmpdir(), 'hw-test-containerd-'))
  const socket = join(home, 'socket')
  const config = `version = 2
root = "${home}/root"
state = "${home}/state"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = "${socket}"
[plugins."io.containerd.internal.v1.opt"]
  path = "${home}/opt"
`
  await writeFile(join(home, 'config.toml'), config)
  let child: ChildProcess | undefined
  let gone = Promise.resolve()

  const ctr = async (...args: string[]) => {
    const result = await run('ctr', ['-a', socket, '-n', CONTAINERD_NAMESPACE, ...args], { limit: 60_000 })
    if (result.code !== 0) throw new Error(`ctr ${args.join(' ')}: ${result.stderr.toString().trim()}`)
    return result.stdout.toString().trim()
  }

  const containerd = {
    socket,
    folder: join(home, 'pipes'),
    get pid() {
      return child?.pid ?? 0
    },
    ctr,
    control: (...args: string[]) => control(ctr, socket, args),
    async start() {
      const log = await open(join(home, 'log'), 'a')
      const started = spawn('containerd', ['--config', join(home, 'config.toml')], {
        stdio: ['ignore', log.fd, log.fd],
      })
      await log.close()
      child = started
      gone = new Promise((resolve) => started.once('exit', () => resolve()))
      try {
        const answers = async () => (await run('ctr', ['-a', socket, 'version'])).code === 0
        await until('containerd answers', answers, 30_000, 100)
      } catch (error) {
        throw new Error(`containerd: ${(await readFile(join(home, 'log'), 'utf8')).slice(-2000)}`, { cause: error })
      }
    },
    async stop(signal: 'SIGTERM' | 'SIGKILL') {
      child?.kill('SIGCONT')
      child?.kill(signal)
      await gone
    },
    async close() {
      const ids = await ctr('containers', 'ls', '-q').catch(() => '')
      if (ids !== '') await remove(ctr, ids.split('\n')).catch(() => {})
      await containerd.stop('SIGTERM')
      // Where it could not be asked any more: the shims, whose containers end with them.
      await run('pkill', ['-KILL', '-f', `containerd-shim.* -address ${home}/`])
      await run('sh', [
        '-c',
        `awk -v below=${home}/ 'index($2, below) == 1 { print $2 }' /proc/self/mounts | sort -r | xargs -r umount -l`,
      ])
      await rm(home, { recursive: true, force: true })
    },
  }
  try {
    await containerd.start()
    for (const image of images) {
      const load = `docker save ${image} -o ${home}/image.tar && ctr -a ${socket} -n ${CONTAINERD_NAMESPACE} images import ${home}/image.tar`
      const loaded = await run('sh', ['-c', load], { limit: 120_000 })
      if (loaded.code !== 0) throw new Error(`ctr images import: ${loaded.stderr}`)
    }
  } catch (error) {
    await containerd.close()
    throw error
  }
  return containerd
}

type Ctr = (...args: string[]) => Promise<string>

async function control(ctr: Ctr, socket: string, [verb = '', ...args]: string[]): Promise<string> {
  const ids = async () =>
    Promise.all(args.filter((arg) => !arg.startsWith('-') && !/^\d$/.test(arg)).map((ref) => idOf(ctr, ref)))
  switch (verb) {
    case 'run':
      return runContainer(ctr, socket, args)
    case 'exec': {
      const [ref = '', ...argv] = args
      return ctr('tasks', 'exec', '--exec-id', randomBytes(8).toString('hex'), await idOf(ctr, ref), ...argv)
    }
    case 'pause':
    case 'unpause':
      for (const id of await ids()) await ctr('tasks', verb === 'pause' ? 'pause' : 'resume', id)
      return ''
    case 'kill':
    case 'stop':
      for (const id of await ids()) await end(ctr, id, verb === 'kill' ? 'SIGKILL' : 'SIGTERM')
      return ''
    case 'restart':
      for (const id of await ids()) {
        await end(ctr, id, 'SIGTERM')
        await ctr('tasks', 'rm', id)
        await ctr('tasks', 'start', '-d', '--null-io', id)
      }
      return ''
    case 'rm':
      await remove(ctr, await ids())
      return ''
    default:
      throw new Error(`ctr has no words for: ${verb} ${args.join(' ')}`)
  }
}

async function idOf(ctr: Ctr, ref: string): Promise<string> {
  if (/^[0-9a-f]{64}$/.test(ref)) return ref
  return (await ctr('containers', 'ls', '-q', `labels."nerdctl/name"==${ref}`)).split('\n')[0] || ref
}

async function status(ctr: Ctr, id: string): Promise<string | undefined> {
  const rows = (await ctr('tasks', 'ls')).split('\n').map((row) => row.trim().split(/\s+/))
  return rows.find(([name]) => name === id)?.[2]
}

async function end(ctr: Ctr, id: string, signal: string): Promise<void> {
  await ctr('tasks', 'kill', '-s', signal, id)
  await until(`${id} has ended`, async () => (await status(ctr, id)) === 'STOPPED', 15_000)
}

async function remove(ctr: Ctr, ids: readonly string[]): Promise<void> {
  for (const id of ids) {
    // Of a paused one nothing can be killed, and most have no task that is paused.
    await ctr('tasks', 'rm', '-f', id).catch(async () => {
      await ctr('tasks', 'resume', id).catch(() => {})
      await ctr('tasks', 'rm', '-f', id).catch(() => {})
    })
    await ctr('containers', 'rm', id)
  }
}

/** `docker run -d --name NAME OPTIONS IMAGE [COMMAND...]`, whose container has an id of 64 hex digits and prints it. */
async function runContainer(ctr: Ctr, socket: string, args: readonly string[]): Promise<string> {
  const id = randomBytes(32).toString('hex')
  const options: string[] = []
  const user: { uid?: number; gid?: number; additionalGids?: number[] } = {}
  let at = 0
  const value = () => args[++at] ?? ''
  for (; args[at]?.startsWith('-'); at++) {
    switch (args[at]) {
      case '-d':
        break
      case '--name':
        options.push('--label', `nerdctl/name=${value()}`)
        break
      case '--label':
        options.push('--label', value())
        break
      case '-e':
        options.push('--env', value())
        break
      case '--user': {
        const [uid, gid] = value().split(':').map(Number)
        Object.assign(user, { uid, gid })
        break
      }
      case '--group-add':
        user.additionalGids = [Number(value())]
        break
      case '-p': {
        const [address, , port] = value().split(/[:/]/)
        const ports = [{ HostPort: 1, ContainerPort: Number(port), Protocol: 'tcp', HostIP: address }]
        options.push('--label', `nerdctl/ports=${JSON.stringify(ports)}`)
        break
      }
      case '--workdir':
        options.push('--cwd', value())
        break
      case '--read-only':
        options.push('--read-only')
        break
      case '-v': {
        const [source, target, mode] = value().split(':')
        options.push('--mount', `type=bind,src=${source},dst=${target},options=rbind:${mode ?? 'rw'}`)
        break
      }
      default:
        throw new Error(`ctr run has no ${args[at]}`)
    }
  }
  const [image = '', ...command] = args.slice(at)
  await ctr('containers', 'create', ...options, `docker.io/library/${image}`, id, ...command)
  if (Object.keys(user).length > 0) await changeUser(socket, id, user)
  await ctr('tasks', 'start', '-d', '--null-io', id)
  return id
}

/** ctr 1.6 makes containers of the image's user only. */
async function changeUser(socket: string, id: string, user: object): Promise<void> {
  const channel = createGrpcChannel(socket, { 'containerd-namespace': CONTAINERD_NAMESPACE })
  const containers = '/containerd.services.containers.v1.Containers'
  const limit = AbortSignal.timeout(10_000)
  const found = decodeMessage(await channel.call(`${containers}/Get`, encodeMessage({ 1: id }), limit))
  const spec = found.message(1).message(5)
  const json = JSON.parse(spec.bytes(2).toString())
  json.process.user = { ...json.process.user, ...user }
  const changed = encodeMessage({ 1: spec.text(1), 2: Buffer.from(JSON.stringify(json)) })
  const update = encodeMessage({ 1: encodeMessage({ 1: id, 5: changed }), 2: encodeMessage({ 1: ['spec'] }) })
  await channel.call(`${containers}/Update`, update, limit)
  channel.close()
}
