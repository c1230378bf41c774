/** Plays a record in time: faster or slower, paused, forwards and back. */
import { once } from 'node:events'
import type { Writable } from 'node:stream'
import { setTimeout as delay } from 'node:timers/promises'
import type { Cast } from '../evidence/recording/read-stream.ts'
import { createTerminalFilter } from '../evidence/recording/terminal-filter.ts'

/** How far a key goes, in seconds of the recording. */
const SEEK_S = 5
const MAX_SPEED = 64
const FOR_EVER_MS = 2 ** 31 - 1
/** Clears the screen and what a program had set of it. */
const CLEAR = '\x1bc'
/** What programs set and may not have set back: colours, cursor, second screen, mouse, bracketed paste. */
const RESET = '\x1b[0m\x1b[?25h\x1b[?1049l\x1b[?1000;1002;1003;1006l\x1b[?2004l\x1b[?1l\x1b>'

export interface Replay {
  /** From the beginning, each time. */
  readonly open: () => Promise<Cast>
  readonly output: Writable
  readonly speed: number
  /** Seconds; a longer silence is as long as that. */
  readonly idleLimit: number
  /** Seconds, to begin at. */
  readonly from: number
  /** False: all of it at once. */
  readonly inTime: boolean
}

export interface Player {
  /** What its user types. */
  key(key: string): void
  /** Resolves at the end, or when its user has left. */
  play(): Promise<void>
}

export function createPlayer({ open, output, inTime, idleLimit, ...options }: Replay): Player {
  let { speed } = options
  let isPaused = false
  let hasLeft = false
  /** Seconds to go that a key asked for. */
  let jump = 0
  let wake = new AbortController()

  async function write(text: string): Promise<void> {
    if (text !== '' && !output.write(text)) await once(output, 'drain')
  }

  /** Waits from one place to another, or until a key. Returns where it is then. */
  async function step(from: number, to: number): Promise<number> {
    const [began, rate] = [performance.now(), isPaused ? 0 : speed]
    const ms = rate === 0 ? FOR_EVER_MS : Math.min(FOR_EVER_MS, ((to - from) * 1000) / rate)
    const isThere = await delay(ms, true, { signal: wake.signal }).catch(() => false)
    wake = new AbortController()
    if (isThere && rate > 0) return to
    const here = Math.min(to, from + ((performance.now() - began) * rate) / 1000)
    const there = Math.max(0, here + jump)
    jump = 0
    return there
  }

  /** Plays from the beginning, and shows at once what is before `from`. Returns where to go back to; undefined: it is over. */
  async function pass(from: number): Promise<number | undefined> {
    const { header, events } = await open()
    const filter = createTerminalFilter()
    const hasTerminal = header.term.type !== undefined
    let position = from
    let at = 0
    let last = 0
    if (inTime) await write(CLEAR)
    for await (const { at: time, code, data } of events) {
      at += Math.min(time - last, idleLimit)
      last = time
      while (inTime && position < at && !hasLeft) {
        const next = await step(position, at)
        if (next < position) return next
        position = next
      }
      if (hasLeft) return undefined
      if (code === 'o' || (code === 'e' && !hasTerminal)) await write(filter(data))
      else if (code === 'm') await write(`\r\n[${filter(data)}]\r\n`)
    }
    return undefined
  }

  return {
    key(key) {
      if (key === 'q' || key === '\x03' || key === '\x1b') hasLeft = true
      else if (key === ' ') isPaused = !isPaused
      else if (key === '\x1b[C' || key === 'l') jump += SEEK_S
      else if (key === '\x1b[D' || key === 'h') jump -= SEEK_S
      else if (key === '+') speed = Math.min(MAX_SPEED, speed * 2)
      else if (key === '-') speed = Math.max(1 / MAX_SPEED, speed / 2)
      else return
      wake.abort()
    },
    async play() {
      let from: number | undefined = options.from
      while (from !== undefined) from = await pass(from)
      if (inTime) await write(RESET)
    },
  }
}
