/** Podman of a user who is not root: one that is made for this file, with storage and configuration of its own; crun runs it. */
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { chmod, cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { containersConf, loadImages, type Podman, podmanControl } from './podman.ts'
import { run } from './run.ts'
import { until } from './wait.ts'

export interface RootlessPodman extends Podman {
  readonly user: string
  readonly uid: number
  /** A folder of that user's. */
  readonly home: string
  /** Program and arguments that replace themselves by what follows them, run as that user. */
  readonly asUser: readonly string[]
  /** A copy in a folder of its own that is that user's and nobody else's. */
  give(file: string): Promise<string>
}

const NEEDS = ['podman', 'crun', 'slirp4netns', 'newuidmap', 'useradd']

/** Why it cannot be tried here; undefined when it can. */
export async function whyNoRootlessPodman(): Promise<string | undefined> {
  if (process.getuid?.() !== 0) return 'making a user needs root'
  for (const program of NEEDS) {
    if ((await run('sh', ['-c', `command -v ${program}`])).code !== 0) return `${program} is not installed`
  }
  return undefined
}

export async function startRootlessPodman(images: readonly string[] = ['hatchway-busybox']): Promise<RootlessPodman> {
  const user = `hwt${randomBytes(4).toString('hex')}`
  const top = await mkdtemp(join(tmpdir(), 'hw-test-rootless-'))
  await chmod(top, 0o755)
  const home = join(top, 'home')
  const must = async (file: string, args: readonly string[], limit = 60_000) => {
    const { code, stdout, stderr } = await run(file, args, { limit })
    if (code !== 0)
      throw new Error(`${file} ${args.join(' ')}: ${stderr.toString().trim() || stdout.toString().trim()}`)
    return stdout.toString().trim()
  }
  // It brings subordinate ids of its own with it.
  await must('useradd', ['--create-home', '--home-dir', home, '--shell', '/bin/sh', user])
  const uid = Number(await must('id', ['-u', user]))
  const gid = Number(await must('id', ['-g', user]))
  const runtime = join(top, 'run')
  await mkdir(runtime, { mode: 0o700 })
  await mkdir(join(home, '.config/containers'), { recursive: true })
  await writeFile(join(home, 'containers.conf'), containersConf('crun'))
  const storage = `[storage]\ndriver = "overlay"\ngraphroot = "${home}/storage"\nrunroot = "${runtime}/storage"\n`
  await writeFile(join(home, '.config/containers/storage.conf'), storage)
  await must('chown', ['-R', `${uid}:${gid}`, home, runtime])
  const environment = [
    `HOME=${home}`,
    `XDG_RUNTIME_DIR=${runtime}`,
    `CONTAINERS_CONF=${home}/containers.conf`,
    'PATH=/usr/sbin:/usr/bin:/sbin:/bin',
  ]
  const asUser = [
    ...['setpriv', '--reuid', String(uid), '--regid', String(gid), '--init-groups', '--'],
    ...['env', '-i', '-C', home, ...environment],
  ]
  // crun refuses the hybrid of both cgroup versions, and slirp4netns needs a /dev/net/tun that is not root's alone.
  await must('mknod', ['-m', '666', join(top, 'tun'), 'c', '10', '200'])
  const apart = [
    ...['unshare', '--mount', '--propagation', 'private', 'sh', '-c'],
    `umount /sys/fs/cgroup/unified 2>/dev/null; mount --bind ${top}/tun /dev/net/tun; exec "$@"`,
    'sh',
  ]
  const binary = join(top, 'podman')
  await writeFile(binary, `#!/bin/sh\nexec ${[...apart, ...asUser].map(quoted).join(' ')} podman "$@"\n`)
  await chmod(binary, 0o755)
  const control = (...args: string[]) => podmanControl(binary, ...args)

  let stop = async () => {}
  const podman: RootlessPodman = {
    binary,
    control,
    user,
    uid,
    home,
    asUser,
    async give(file) {
      const copy = join(await mkdtemp(join(home, 'given-')), 'file')
      await cp(file, copy)
      await must('chown', ['-R', `${uid}:${gid}`, join(copy, '..')])
      return copy
    },
    async serve() {
      const endpoint = `unix://${runtime}/podman.sock`
      const service = spawn(binary, ['system', 'service', '--time=0', endpoint], { stdio: 'ignore' })
      const gone = new Promise<void>((resolve) => service.once('exit', () => resolve()))
      stop = async () => {
        service.kill('SIGTERM')
        await gone
      }
      const ping = ['-s', '--max-time', '2', '--unix-socket', `${runtime}/podman.sock`, 'http://d/_ping']
      await until('podman serves', async () => (await run('curl', ping)).stdout.toString() === 'OK', 30_000)
      return endpoint
    },
    async close() {
      await stop()
      await run(binary, ['rm', '-f', '-a', '-t', '0'], { limit: 60_000 })
      // The process that keeps its namespaces, and a conmon for each exec of the last five minutes.
      await run('sh', ['-c', `kill -9 $(ps -o pid= -u ${uid})`])
      await until('its processes are gone', async () => (await run('ps', ['-u', String(uid)])).code !== 0)
      await run('userdel', [user])
      await rm(top, { recursive: true, force: true })
    },
  }
  try {
    await loadImages(binary, images)
  } catch (error) {
    await podman.close()
    throw error
  }
  return podman
}

function quoted(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`
}
