/**
 * Podman 5 from a root of Debian's newer suite (scripts/engines.sh makes it), in namespaces of its own. Its root is entered by
 * pivot_root with the old one unmounted: after a mere chroot, what it does in a container's files happens in the host's.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { chmod, mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { containersConf, loadImages, type Podman, podmanControl } from './podman.ts'
import { run } from './run.ts'
import { until } from './wait.ts'

const ROOT = join(process.env.HATCHWAY_CACHE ?? '/var/cache/hatchway', 'engines', 'trixie')
/** Where this Podman's files are, inside its root. */
const INSIDE = '/mnt'

/** Enters the root; then "$@". */
const ENTER = `set -e
root=$1 files=$2; shift 2
ip link set lo up
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
umount "$root/sys/fs/cgroup/unified" 2>/dev/null || true
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/tmp"
mount --bind "$files" "$root${INSIDE}"
cd "$root"
pivot_root . .
umount -l .
mount --make-rprivate /
cd /
[ -e ${INSIDE}/containers.conf ] || exit 9
exec env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"
`

/** Why it cannot be tried here; undefined when it can. */
export function whyNoPodman5(): string | undefined {
  if (process.getuid?.() !== 0) return 'Podman 5 is tried as root'
  return existsSync(join(ROOT, 'usr/bin/podman'))
    ? undefined
    : `no Podman 5 in ${ROOT} (./hatchway test --engines makes it)`
}

export async function startPodman5(images: readonly string[] = ['hatchway-busybox']): Promise<Podman> {
  const home = await mkdtemp(join(tmpdir(), 'hw-test-podman5-'))
  await chmod(home, 0o711)
  await writeFile(join(home, 'containers.conf'), containersConf('crun'))
  const options = [`--root=${INSIDE}/root`, `--runroot=${INSIDE}/run`, `--tmpdir=${INSIDE}/tmp`]
  const environment = ['PODMAN_IGNORE_CGROUPSV1_WARNING=1', `CONTAINERS_CONF=${INSIDE}/containers.conf`]
  const log = await open(join(home, 'log'), 'a')
  const service: ChildProcess = spawn(
    'unshare',
    [
      ...['--mount', '--net', '--pid', '--fork', '--kill-child', '--propagation', 'private'],
      ...['sh', '-c', ENTER, 'sh', ROOT, home, ...environment],
      ...['podman', ...options, 'system', 'service', '--time=0', `unix://${INSIDE}/podman.sock`],
    ],
    { stdio: ['ignore', log.fd, log.fd] },
  )
  await log.close()
  const gone = new Promise<void>((resolve) => service.once('exit', () => resolve()))
  const socket = join(home, 'podman.sock')
  const ping = ['-s', '--max-time', '2', '--unix-socket', socket, 'http://d/_ping']
  const close = async () => {
    await run('docker', ['-H', `unix://${socket}`, 'ps', '-aq']).then(({ stdout }) => {
      const ids = stdout.toString().split('\n').filter(Boolean)
      return ids.length === 0
        ? undefined
        : run('docker', ['-H', `unix://${socket}`, 'rm', '-f', ...ids], { limit: 60_000 })
    })
    // With it goes the init of its process namespace, and all that is in there.
    service.kill('SIGKILL')
    await gone
    await run('sh', ['-c', `grep -o '${home}/[^ ]*' /proc/self/mounts | sort -r | xargs -r umount -l`])
    await rm(home, { recursive: true, force: true })
  }
  try {
    await until(
      'podman 5 serves',
      async () => {
        if (service.exitCode !== null) throw new Error(`podman 5 ended with ${service.exitCode}`)
        return (await run('curl', ping)).stdout.toString() === 'OK'
      },
      60_000,
    )
    const children = await readFile(`/proc/${service.pid}/task/${service.pid}/children`, 'utf8')
    const pid = children.trim()
    const binary = join(home, 'podman')
    const enter = `nsenter --target ${pid} --mount --net --pid --root --wd env -i HOME=/root TERM=xterm`
    const path = `PATH=/usr/sbin:/usr/bin:/sbin:/bin`
    // nsenter has it as a child, which has to go with it.
    const script = `#!/bin/sh\nexec ${enter} ${path} ${environment.join(' ')} setpriv --pdeathsig KILL podman ${options.join(' ')} "$@"\n`
    await writeFile(binary, script)
    await chmod(binary, 0o755)
    const control = (...args: string[]) => podmanControl(binary, ...args)
    await loadImages(binary, images)
    // What a container's process and the copy call write has to stay in it.
    const probe = await control('run', '-d', images[0] ?? '', 'sleep', '60')
    await control('exec', probe, 'touch', '/hw-inside')
    if (existsSync('/hw-inside')) throw new Error('what is done in a container happens on the host')
    await control('rm', '-f', '-t', '0', probe)
    return { binary, control, serve: async () => `unix://${socket}`, close }
  } catch (error) {
    const said = await readFile(join(home, 'log'), 'utf8').catch(() => '')
    await close()
    throw new Error(`${error instanceof Error ? error.message : error}\n${said.slice(-2000)}`, { cause: error })
  }
}
