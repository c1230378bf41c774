/**
 * Dropped connections in the log. A flood of them must not fill the disk: of each reason one line a minute has its level,
 * the others are for debugging (sshd does so with MaxStartups).
 */
import { at } from '../base/connection-facts.ts'
import type { EventFacts } from './events.ts'
import type { LogLine } from './log-line.ts'

type Drop = Extract<EventFacts, { type: 'drop' }>

const LEVEL = {
  'max-startups': 'warn',
  'per-source-max-startups': 'warn',
  descriptors: 'error',
  accept: 'error',
  penalty: 'info',
  'refuse-connection': 'info',
  'proxy-header': 'warn',
  'proxy-request': 'info',
  // A port that is opened and closed is nothing.
  arrival: 'debug',
} as const satisfies Record<Drop['reason'], LogLine['level']>

const INTERVAL_MS = 60_000

export function createDropLines(now: () => number = () => performance.now()): (event: Drop) => LogLine {
  const seen = new Map<Drop['reason'], { until: number; unsaid: number }>()
  return ({ reason, remote, detail }) => {
    const line = { msg: 'connection dropped', ...(remote && { remote: at(remote) }), reason, detail }
    const last = seen.get(reason)
    if (last && now() < last.until) {
      last.unsaid++
      return { level: 'debug', ...line }
    }
    seen.set(reason, { until: now() + INTERVAL_MS, unsaid: 0 })
    // How many since the last line that was said.
    return { level: LEVEL[reason], ...line, ...(last && last.unsaid > 0 && { unsaid: last.unsaid }) }
  }
}
