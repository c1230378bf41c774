/** A Podman of its own for one test file: own storage, own configuration, nothing of the machine's Podman touched. */
import { spawn } from 'node:child_process'
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { run } from './run.ts'
import { until } from './wait.ts'

export interface Podman {
  /** A `podman` that knows this storage. */
  readonly binary: string
  control(...args: string[]): Promise<string>
  /** Starts the Docker-compatible API; answers its endpoint. */
  serve(): Promise<string>
  close(): Promise<void>
}

/** Limits on open files, because Podman asks for more than a sandbox may have. */
export function containersConf(runtime: 'runc' | 'crun'): string {
  return `[containers]
default_ulimits = ["nofile=20000:20000","nproc=32768:32768"]
[engine]
runtime = "${runtime}"
events_logger = "file"
cgroup_manager = "cgroupfs"
`
}

/** The machine's images, into this Podman: there as localhost/hatchway-busybox, found by the short name. */
export async function loadImages(binary: string, images: readonly string[]): Promise<void> {
  for (const image of images) {
    const loaded = await run('sh', ['-c', `docker save ${image}:latest | ${binary} load -q`], { limit: 120_000 })
    if (loaded.code !== 0) throw new Error(`podman load: ${loaded.stderr}`)
  }
}

/** Its command line: what it prints, or an error in its words. */
export async function podmanControl(binary: string, ...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await run(binary, args, { limit: 60_000 })
  if (code !== 0) throw new Error(`podman ${args.join(' ')}: ${stderr.toString().trim()}`)
  return stdout.toString().trim()
}

/** Why Podman cannot be tried here; undefined when it can. */
export async function whyNoPodman(): Promise<string | undefined> {
  if (process.getuid?.() !== 0) return 'Podman is tried as root'
  const found = await run('sh', ['-c', 'command -v podman runc'])
  return found.code === 0 ? undefined : 'podman and runc are not installed (apt-get install podman runc)'
}

export async function startPodman(images: readonly string[] = ['hatchway-busybox']): Promise<Podman> {
  const home = await mkdtemp(join(tmpdir(), 'hw-test-podman-'))
  const binary = join(home, 'podman')
  // crun 1.8 refuses hybrid cgroups.
  await writeFile(join(home, 'containers.conf'), containersConf('runc'))
  const options = `--root ${home}/root --runroot ${home}/run --tmpdir ${home}/tmp`
  await writeFile(binary, `#!/bin/sh\nCONTAINERS_CONF=${home}/containers.conf exec podman ${options} "$@"\n`)
  await chmod(binary, 0o755)

  const control = (...args: string[]) => podmanControl(binary, ...args)
  await loadImages(binary, images)
  let stop = async () => {}

  return {
    binary,
    control,
    async serve() {
      const endpoint = `unix://${home}/podman.sock`
      const service = spawn(binary, ['system', 'service', '--time=0', endpoint], { stdio: 'ignore' })
      const gone = new Promise<void>((resolve) => service.once('exit', () => resolve()))
      stop = async () => {
        service.kill('SIGTERM')
        await gone
      }
      const ping = ['-s', '--max-time', '2', '--unix-socket', `${home}/podman.sock`, 'http://d/_ping']
      await until('podman serves', async () => (await run('curl', ping)).stdout.toString() === 'OK', 15_000)
      return endpoint
    },
    async close() {
      await stop()
      await run(binary, ['rm', '-f', '-a', '-t', '0'], { limit: 60_000 })
      await ended(home)
      await rm(home, { recursive: true, force: true })
    },
  }
}

/**
 * A conmon outlives its container, and that of an API's exec waits five minutes more; at its end each starts a `podman
 * container cleanup`, and any podman that starts mounts root/overlay again. So all of them go before that is unmounted.
 */
async function ended(home: string): Promise<void> {
  const alive = async (name: string) => (await run('pgrep', ['-f', `${name} .*${home}/`])).code === 0
  await until('its conmons are gone', async () => {
    await run('pkill', ['-KILL', '-f', `^[^ ]*conmon .*${home}/`])
    return !(await alive('^[^ ]*conmon'))
  })
  await until('its last podman has ended', async () => !(await alive('^[^ ]*podman')), 60_000)
  const mounts = (await readFile('/proc/self/mounts', 'utf8')).split('\n').map((line) => line.split(' ')[1] ?? '')
  // What was mounted last goes first.
  for (const mount of mounts.filter((path) => path.startsWith(`${home}/`)).reverse()) {
    const { code, stderr } = await run('umount', [mount])
    if (code !== 0) throw new Error(`umount ${mount}: ${stderr.toString().trim()}`)
  }
}
