// What processes cost, read from /proc and the container's cgroup.
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** A tick of /proc/PID/stat: USER_HZ is 100 on every Linux port that node runs on. */
const TICKS = 100

/** CPU seconds of a process and of the children it has waited for; 0 when it is gone. */
export function cpuOf(pid) {
  const [user, system, waitedUser, waitedSystem] =
    stat(pid)
      ?.slice(11, 15)
      .map((ticks) => Number(ticks) / TICKS) ?? []
  if (user === undefined) return 0
  return (threadsOf(pid) ?? user + system) + waitedUser + waitedSystem
}

/** To the nanosecond, for what takes less than a tick; threads that ended are missed, which long-lived servers have few of. */
function threadsOf(pid) {
  const times = entries(`/proc/${pid}/task`).map((id) => read(`/proc/${pid}/task/${id}/schedstat`).split(' ')[0])
  return times.some((time) => time === '') || times.length === 0
    ? undefined
    : times.reduce((sum, time) => sum + Number(time), 0) / 1e9
}

/** CPU seconds of everything that ever ran in a container. */
export function cpuInside(initPid) {
  const v1 = cgroup(initPid, 'cpuacct')
  if (v1) return Number(readFileSync(join(v1, 'cpuacct.usage'), 'utf8')) / 1e9
  const v2 = cgroup(initPid, '')
  return Number(/usage_usec (\d+)/.exec(readFileSync(join(v2, 'cpu.stat'), 'utf8'))[1]) / 1e6
}

/** The process ids of a container as this machine counts them. */
export function pidsInside(initPid) {
  const folder = cgroup(initPid, 'pids') ?? cgroup(initPid, '')
  return readFileSync(join(folder, 'cgroup.procs'), 'utf8').split('\n').filter(Boolean).map(Number)
}

export function nameOf(pid) {
  return read(`/proc/${pid}/comm`).trim()
}

export function parentOf(pid) {
  return Number(stat(pid)?.[1] ?? 0)
}

/**
 * Memory in KB, shared pages shared out (PSS): two processes of one program cost less than twice. A process of another
 * user's needs root to be asked; without, its resident size, which is more.
 */
export function memoryOf(pid) {
  const shared = /^Pss:\s+(\d+)/m.exec(read(`/proc/${pid}/smaps_rollup`))
  if (shared) return Number(shared[1])
  return Number(/VmRSS:\s+(\d+)/.exec(read(`/proc/${pid}/status`))?.[1] ?? 0)
}

/** A process and all below it. */
export function treeOf(root) {
  const children = new Map()
  for (const pid of allPids()) {
    const parent = parentOf(pid)
    children.set(parent, [...(children.get(parent) ?? []), pid])
  }
  const found = [root]
  for (const pid of found) found.push(...(children.get(pid) ?? []))
  return found
}

let daemons

/**
 * dockerd and its containerd, a child or a service of its own. Asked once: other engines come and go on a machine, and
 * their years of CPU with them.
 */
export function daemonPids() {
  daemons ??= findDaemons()
  return daemons
}

function findDaemons() {
  const named = (name) => allPids().filter((pid) => nameOf(pid) === name)
  const file = '/var/run/docker.pid'
  const daemon = existsSync(file) ? Number(readFileSync(file, 'utf8')) : named('dockerd')[0]
  if (daemon === undefined) return []
  const containerds = named('containerd')
  const own = containerds.filter((pid) => parentOf(pid) === daemon)
  return [daemon, ...(own.length > 0 ? own : containerds)]
}

function allPids() {
  return entries('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
}

function stat(pid) {
  const text = read(`/proc/${pid}/stat`)
  // The program's name may hold anything, a closing parenthesis too.
  return text === '' ? undefined : text.slice(text.lastIndexOf(')') + 2).split(' ')
}

function cgroup(pid, controller) {
  for (const line of read(`/proc/${pid}/cgroup`).split('\n')) {
    const [, controllers, path] = /^\d+:([^:]*):(.*)$/.exec(line) ?? []
    if (path === undefined || !controllers.split(',').includes(controller)) continue
    const folder = join('/sys/fs/cgroup', controller, path)
    if (existsSync(join(folder, 'cgroup.procs'))) return folder
  }
  return undefined
}

function entries(folder) {
  try {
    return readdirSync(folder)
  } catch {
    return [] // the process is gone
  }
}

function read(path) {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return '' // the process is gone
  }
}
