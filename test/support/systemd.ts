/**
 * A real systemd as process 1, in namespaces of its own, on a copy of a Debian root that is gone with it. The machine's engine
 * is there by its socket, the checkout at /opt/hatchway. For `./hatchway test --engines`.
 */
import { spawn } from 'node:child_process'
import { mkdir, mkdtemp, readdir, readFile, rm, rmdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { testName } from './containers.ts'
import { type Finished, type RunOptions, run } from './run.ts'
import { until } from './wait.ts'

const TOP = resolve(import.meta.dirname, '../..')
const MINUTES = 60_000

export interface Systemd {
  /** Its root, as this machine sees it. */
  readonly root: string
  /** A shell command inside, as root. */
  inside(command: string, options?: RunOptions): Promise<Finished>
  /** Idempotent. */
  close(): Promise<void>
}

/** systemd would set what is the whole machine's: kernel variables, modules, formats of programs. */
const NOT_OURS = ['systemd-sysctl', 'systemd-modules-load', 'systemd-binfmt', 'systemd-udevd', 'systemd-udev-trigger']

/** $1 is the Debian root, $2 an empty folder, $3 the checkout, $4 a node. */
const ENTER = `set -e
mount --make-rprivate /
mount -t tmpfs tmpfs "$2"
mkdir "$2/upper" "$2/work" "$2/root"
mount -t overlay overlay -o "lowerdir=$1,upperdir=$2/upper,workdir=$2/work" "$2/root"
cd "$2/root"
mount -t proc proc proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 none sys/fs/cgroup
mount -t tmpfs tmpfs run
mount -t tmpfs tmpfs dev
for device in null zero full random urandom tty; do touch "dev/$device"; mount --bind "/dev/$device" "dev/$device"; done
mkdir dev/pts dev/shm
mount -t devpts -o newinstance,ptmxmode=666 devpts dev/pts
ln -s pts/ptmx dev/ptmx
mkdir -p opt/hatchway run/engine
mount --bind "$3" opt/hatchway
touch usr/local/bin/node run/engine/docker.sock
mount --bind "$4" usr/local/bin/node
mount --bind /var/run/docker.sock run/engine/docker.sock
printf '#!/bin/sh\\nexec node /opt/hatchway/dist/main.js "$@"\\n' >usr/local/bin/hatchway
chmod 755 usr/local/bin/hatchway
: >etc/fstab
for unit in ${NOT_OURS.join(' ')}; do ln -sf /dev/null "etc/systemd/system/$unit.service"; done
ip link set lo up
exec env -i container=test PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot . /lib/systemd/systemd --unit=basic.target`

export async function startSystemd(): Promise<Systemd> {
  const made = await run(join(TOP, 'scripts/systemd-root.sh'), [], { limit: 15 * MINUTES })
  if (made.code !== 0) throw new Error(`scripts/systemd-root.sh: ${made.stderr.toString()}`)
  const folder = await mkdtemp(join(tmpdir(), 'hw-test-systemd-'))
  const group = join(folder, 'cgroup')
  const own = join(group, testName('systemd'))
  await mkdir(join(folder, 'root'))
  await mkdir(group)
  const mounted = await run('mount', ['-t', 'cgroup2', 'none', group])
  if (mounted.code !== 0) throw new Error(mounted.stderr.toString())
  await mkdir(own)
  // In a group of its own first: what systemd sees as the top is that one.
  const enter = `echo $$ >"$1/cgroup.procs" && shift && exec unshare -m -p -f -C -u -n --kill-child sh -c "$@"`
  const args = [made.stdout.toString().trim(), join(folder, 'root'), TOP, process.execPath]
  const child = spawn('sh', ['-c', enter, 'sh', own, ENTER, 'sh', ...args], { stdio: ['ignore', 'ignore', 'pipe'] })
  let complaints = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    complaints += text
  })
  const ended = new Promise<void>((done) => child.once('close', () => done()))
  let isOver = false
  void ended.then(() => {
    isOver = true
  })

  const close = async () => {
    child.kill('SIGKILL')
    await ended
    for (const below of await groupsBelow(own)) await until('its group is empty', () => removed(below))
    await run('umount', [group])
    await rm(folder, { recursive: true, force: true })
  }
  try {
    const first = await until('process 1', async () => {
      if (isOver) throw new Error(complaints)
      const pid = (await run('pgrep', ['-P', String(child.pid)])).stdout.toString().trim()
      return pid !== '' && (await readFile(`/proc/${pid}/comm`, 'utf8')) === 'systemd\n' && pid
    })
    const environment = ['TERM=dumb', 'HOME=/root', 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin']
    const inside = (command: string, options?: RunOptions) => {
      const into = ['-t', first, '-m', '-p', '-C', '-u', '-n', '-r', '-w']
      return run('nsenter', [...into, 'env', '-i', ...environment, 'sh', '-c', command], options)
    }
    await until('systemd is up', async () => (await inside('systemctl is-active basic.target')).code === 0, MINUTES)
    return { root: `/proc/${first}/root`, inside, close }
  } catch (error) {
    await close()
    throw error
  }
}

/** The deepest first. */
async function groupsBelow(group: string): Promise<string[]> {
  const entries = await readdir(group, { withFileTypes: true }).catch(() => [])
  const below = await Promise.all(
    entries.filter((entry) => entry.isDirectory()).map((entry) => groupsBelow(join(group, entry.name))),
  )
  return [...below.flat(), group]
}

function removed(group: string): Promise<boolean> {
  return rmdir(group).then(
    () => true,
    (error: NodeJS.ErrnoException) => error.code === 'ENOENT',
  )
}
