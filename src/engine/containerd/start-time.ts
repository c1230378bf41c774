/**
 * When a process began. containerd does not tell when a task was started, and a container that is started again has the same
 * id: the start time of its first process tells the runs apart.
 */
import { readFile } from 'node:fs/promises'
import { BoundedMap } from '../../lifetime/bounded-map.ts'

/** USER_HZ is the same on all of Linux's architectures that node runs on. */
const TICKS_PER_SECOND = 100
const REMEMBERED = 10_000

export interface StartTimes {
  /**
   * As Docker spells it, with nine decimals, of which the last seven are the pid: two runs never have the same. `fallback`
   * seconds since the epoch, where /proc does not tell (hidepid, another pid namespace).
   */
  of(pid: number, fallback: number): Promise<string>
}

export function createStartTimes(): StartTimes {
  /** By pid and ticks: a clock that is set later must not make another run of the same one. */
  const known = new BoundedMap<string, string>(REMEMBERED)
  let bootTime: Promise<number> | undefined

  return {
    async of(pid, fallback) {
      const ticks = await startTicks(pid)
      if (ticks === undefined) return spelled(fallback * TICKS_PER_SECOND, pid)
      const key = `${pid} ${ticks}`
      const found = known.get(key)
      if (found !== undefined) return found
      bootTime ??= readBootTime()
      const text = spelled((await bootTime) * TICKS_PER_SECOND + ticks, pid)
      known.set(key, text)
      return text
    },
  }
}

function spelled(ticks: number, pid: number): string {
  const milliseconds = (ticks * 1000) / TICKS_PER_SECOND
  return `${new Date(milliseconds).toISOString().slice(0, 22)}${String(pid).padStart(7, '0').slice(-7)}Z`
}

async function startTicks(pid: number): Promise<number | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => '')
  // The second field may hold anything: what counts begins after its last ")". It is the 22nd of proc(5).
  const ticks = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19])
  return stat === '' || !Number.isFinite(ticks) ? undefined : ticks
}

async function readBootTime(): Promise<number> {
  const [, seconds] = /^btime (\d+)$/m.exec(await readFile('/proc/stat', 'latin1').catch(() => '')) ?? []
  return Number(seconds ?? 0)
}
