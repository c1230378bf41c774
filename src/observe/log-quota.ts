/**
 * How many lines one connection may have in the log. A client that is refused a thousand times a second must not fill the
 * disk, nor keep the gateway busy with writing about it. What was left out is told as a number. What the client was let
 * do is never left out: being refused often enough must not hide it. Forwards cost their client next to nothing: they have
 * a quota of their own, so that refusals do not hide them, nor they a refusal; and a thousand to one place hide no first one
 * to another.
 */
import { BoundedMap } from '../lifetime/bounded-map.ts'

/** A busy client (ansible through one connection, an IDE) has two lines for each program. */
const AT_ONCE = 1000
const A_SECOND = 50
const MAX_CONNECTIONS = 10_000
/** Client text cannot look like these: JSON escapes its quotes. */
const CONNECTION = /"connection":"([^"\\]+)"/
/**
 * Of what ran inside, its files too, and that it was ended: each costs its client a program, or a request to one. A session
 * that was refused before a program could start has no "start". The dot is any character: U+2028 in a path is no line's end.
 */
const DONE = /"session":"[^"\\]+".*("start":"[a-z]+"|"msg":"(session ended|sftp [^"\\]*)"\}\n$)|"msg":"withdrawn"\}\n$/s
const FORWARD = /"msg":"(forward|listener) (opened|ended|failed)"\}\n$/
/** Into which container, as whom and to what: the first forward of each is said, however many lines there were. */
const OPENED = /"container":"(.*"forward":"[a-z0-9]+"),"msg":"forward opened"\}\n$/s
const MAX_TARGETS = 256
const LAST = /"msg":"disconnected"\}\n$/

/** Lines that it may still have: of forwards, and of all else. */
interface Quota {
  readonly left: { forwards: number; others: number }
  at: number
  unsaid: number
  /** Of forwards. */
  readonly targets: Set<string>
}

/** Returns the lines to write for a line of JSON: itself, none, or what was left out and itself. */
export function createLineQuota(now: () => number = () => performance.now()): (line: string) => readonly string[] {
  const quotas = new BoundedMap<string, Quota>(MAX_CONNECTIONS)
  return (line) => {
    if (line.startsWith('{"level":"debug"') || DONE.test(line)) return [line]
    const [, connection] = CONNECTION.exec(line) ?? []
    if (connection === undefined) return [line]
    const time = now()
    const quota = quotas.get(connection) ?? freshQuota(time)
    // Set anew each time, so that what makes room is a connection that says nothing any more.
    quotas.set(connection, quota)
    const { left } = quota
    const more = ((time - quota.at) / 1000) * A_SECOND
    left.forwards = Math.min(AT_ONCE, left.forwards + more)
    left.others = Math.min(AT_ONCE, left.others + more)
    quota.at = time
    const kind = FORWARD.test(line) ? 'forwards' : 'others'
    const isLast = LAST.test(line)
    if (isLast) quotas.delete(connection)
    else if (isNewTarget(quota.targets, line)) left[kind] = Math.max(0, left[kind] - 1)
    else if (left[kind] < 1) {
      quota.unsaid++
      return []
    } else left[kind]--
    const { unsaid } = quota
    quota.unsaid = 0
    return unsaid === 0 ? [line] : [leftOut(connection, unsaid), line]
  }
}

function freshQuota(at: number): Quota {
  return { left: { forwards: AT_ONCE, others: AT_ONCE }, at, unsaid: 0, targets: new Set() }
}

function isNewTarget(targets: Set<string>, line: string): boolean {
  if (targets.size >= MAX_TARGETS) return false
  const [, target] = OPENED.exec(line) ?? []
  if (target === undefined || targets.has(target)) return false
  // A copy: what a pattern found keeps the whole line in memory.
  targets.add(Buffer.from(target).toString())
  return true
}

function leftOut(connection: string, unsaid: number): string {
  const msg = 'lines of this connection were left out'
  return `${JSON.stringify({ level: 'warn', time: new Date().toISOString(), connection, unsaid, msg })}\n`
}
