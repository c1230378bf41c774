/** A second dockerd that a test may kill: own network namespace, data, sockets and processes; needs root. */
import { type ChildProcess, spawn } from 'node:child_process'
import { chmod, mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { run } from './run.ts'
import { until } from './wait.ts'

export interface Dockerd {
  readonly endpoint: string
  /** A `docker` that talks to it. */
  readonly binary: string
  control(...args: string[]): Promise<string>
  start(): Promise<void>
  /** Ends the daemon; with live-restore its containers live on. */
  stop(signal: 'SIGTERM' | 'SIGKILL'): Promise<void>
  close(): Promise<void>
}

export interface DockerdOptions {
  readonly liveRestore: boolean
  /** --userns-remap, to ids that only this daemon sees: /etc/subuid is another file in its mount namespace. */
  readonly remap?: boolean
}

export async function startDockerd(options: DockerdOptions): Promise<Dockerd> {
  const home = await mkdtemp(join(tmpdir(), 'hw-test-dockerd-'))
  await chmod(home, 0o711)
  await writeFile(join(home, 'subid'), 'daemon:3000000:65536\n')
  const endpoint = `unix://${home}/docker.sock`
  const binary = join(home, 'docker')
  await writeFile(binary, `#!/bin/sh\nexec docker -H ${endpoint} "$@"\n`)
  await chmod(binary, 0o755)
  // dockerd --bridge none deletes docker0 in its network namespace, so it must have one of its own.
  const remapped = [
    ...['--mount', '--', 'sh', '-c'],
    `mount --bind ${home}/subid /etc/subuid && mount --bind ${home}/subid /etc/subgid && exec "$@"`,
    'sh',
  ]
  const daemon = [
    ...[
      '--net',
      ...(options.remap ? remapped : ['--']),
      'dockerd',
      '--data-root',
      `${home}/data`,
      '--exec-root',
      `${home}/exec`,
    ],
    ...['--pidfile', `${home}/pid`, '-H', endpoint, '--bridge', 'none', '--iptables=false', '--shutdown-timeout', '1'],
    ...(options.liveRestore ? ['--live-restore'] : []),
    ...(options.remap ? ['--userns-remap', 'daemon'] : []),
  ]
  let child: ChildProcess | undefined
  let gone = Promise.resolve()

  const control = async (...args: string[]) => {
    const result = await run(binary, args, { limit: 60_000 })
    if (result.code !== 0) throw new Error(`docker ${args.join(' ')}: ${result.stderr.toString().trim()}`)
    return result.stdout.toString().trim()
  }
  const dockerd: Dockerd = {
    endpoint,
    binary,
    control,
    async start() {
      const log = await open(join(home, 'log'), 'a')
      const started = spawn('unshare', daemon, { stdio: ['ignore', log.fd, log.fd] })
      await log.close()
      child = started
      gone = new Promise((resolve) => started.once('exit', () => resolve()))
      try {
        await until('dockerd answers', async () => (await run(binary, ['version'])).code === 0, 30_000, 200)
      } catch (error) {
        throw new Error(`dockerd: ${(await readFile(join(home, 'log'), 'utf8')).slice(-2000)}`, { cause: error })
      }
    },
    async stop(signal) {
      // `unshare` execs dockerd, so its pid is the daemon's.
      child?.kill(signal)
      await gone
      // Its containerd dies with it, but a new dockerd takes a zombie's pid for a running one, and waits for it.
      const left = async () => (await run('pgrep', ['-f', `containerd --config ${home}/`])).code === 0
      await until('its containerd is gone', async () => !(await left()), 20_000)
      await rm(`${home}/exec/containerd/containerd.pid`, { force: true })
    },
    async close() {
      const kept = await run(binary, ['ps', '-aq'])
      const ids = kept.stdout.toString().split('\n').filter(Boolean)
      if (ids.length > 0) await run(binary, ['rm', '-f', ...ids], { limit: 60_000 })
      await dockerd.stop('SIGTERM')
      // Where the daemon could not be asked any more: the shims, whose containers end with them.
      await run('pkill', ['-KILL', '-f', `containerd-shim.* -address ${home}/`])
      await run('sh', ['-c', `grep -o '${home}/[^ ]*' /proc/self/mounts | sort -r | xargs -r umount -l`])
      await rm(home, { recursive: true, force: true })
    },
  }
  await dockerd.start()
  const image = `docker save hatchway-busybox:latest | ${binary} load -q`
  const loaded = await run('sh', ['-c', image], { limit: 60_000 })
  if (loaded.code !== 0) throw new Error(`docker load: ${loaded.stderr}`)
  return dockerd
}
