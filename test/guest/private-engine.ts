/** A dockerd of the test's own, to kill and restart: own data, own sockets, own network namespace. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { execa } from 'execa'
import { testName } from '../support/containers.ts'
import { until } from '../support/wait.ts'

export interface PrivateEngine {
  readonly socket: string
  docker(...args: string[]): Promise<string>
  kill(signal: 'SIGTERM' | 'SIGKILL'): Promise<void>
  start(): Promise<void>
  /** It hangs: neither it answers nor do bytes pass it, until `thaw`. */
  freeze(): Promise<void>
  thaw(): void
  /** Ends it and everything it ran. */
  remove(): Promise<void>
}

/** Undefined with the reason where this machine cannot have one. */
export function cannotHave(): string | undefined {
  return process.getuid?.() === 0 && process.platform === 'linux' ? undefined : 'a dockerd of our own needs root'
}

export async function startPrivateEngine(liveRestore: boolean): Promise<PrivateEngine> {
  // Short: the path of containerd's socket in it has 108 bytes.
  const folder = await mkdtemp(join(tmpdir(), 'hwd-'))
  const socket = join(folder, 'd.sock')
  const netns = testName('net')
  await execa('ip', ['netns', 'add', netns])
  let daemon: ChildProcess | undefined

  const docker = async (...args: string[]) => (await execa('docker', ['-H', `unix://${socket}`, ...args])).stdout

  async function start(): Promise<void> {
    const options = [
      '--data-root',
      join(folder, 'data'),
      '--exec-root',
      join(folder, 'x'),
      '--pidfile',
      join(folder, 'pid'),
    ]
    // `ip netns exec` would hide /sys/fs/cgroup; --bridge none would delete docker0 in the host's namespace.
    daemon = spawn(
      'nsenter',
      [
        `--net=/run/netns/${netns}`,
        'dockerd',
        ...options,
        ...['-H', `unix://${socket}`, '--bridge', 'none', '--iptables=false', '--ip6tables=false'],
        ...['--storage-driver', 'overlay2', '--log-level', 'error', `--live-restore=${liveRestore}`],
      ],
      { stdio: 'ignore' },
    )
    await until('the private engine', () => docker('version').then(Boolean, () => false), 60_000, 200)
  }

  async function kill(signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    if (daemon === undefined || daemon.exitCode !== null || daemon.signalCode !== null) return
    const ended = once(daemon, 'exit')
    daemon.kill(signal)
    await ended
  }

  async function freeze(): Promise<void> {
    daemon?.kill('SIGSTOP')
    const stat = () => readFile(`/proc/${daemon?.pid}/stat`, 'utf8')
    await until('the daemon to stand still', async () => /\) T /.test(await stat()))
  }
  const thaw = () => void daemon?.kill('SIGCONT')

  async function remove(): Promise<void> {
    thaw()
    if (daemon === undefined || daemon.exitCode !== null || daemon.signalCode !== null) await start()
    const ids = (await docker('ps', '-aq')).split('\n').filter(Boolean)
    if (ids.length > 0) await docker('rm', '-f', ...ids)
    await kill('SIGTERM')
    // containerd is dockerd's child and outlives a SIGKILL of it; its own pid file names it.
    await execa(
      'sh',
      ['-c', `test ! -e "$1" || kill "$(cat "$1")"`, 'sh', join(folder, 'x/containerd/containerd.pid')],
      { reject: false },
    )
    await execa('ip', ['netns', 'delete', netns], { reject: false })
    // With live-restore dockerd leaves its data folder bound onto itself.
    await execa('umount', [join(folder, 'data')], { reject: false })
    await until(
      'the folder to be free',
      () =>
        rm(folder, { recursive: true, force: true }).then(
          () => true,
          () => false,
        ),
      20_000,
      300,
    )
  }

  try {
    await start()
    const images = execa('docker', ['save', 'hatchway-busybox', 'hatchway-scratch'], { encoding: 'buffer' })
    await images.pipe('docker', ['-H', `unix://${socket}`, 'load'])
  } catch (error) {
    await remove()
    throw error
  }
  return { socket, docker, kill, start, freeze, thaw, remove }
}
