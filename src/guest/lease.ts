/** PING renews the helper's lease; its PONG tells that somebody is there. Silence of a paused container is no death. */
import type { Writable } from 'node:stream'
import { HatchwayError } from '../errors.ts'
import { ProtocolError, pingFrame } from './frames.ts'

export interface LeaseEnds {
  diagnose(): Promise<HatchwayError | 'paused' | undefined>
  dead(error: HatchwayError): void
}

/** Pings that a frozen container has not read; more would only grow the queue, and these renew as well. */
const QUEUED_ENOUGH = 4096

export function createLease(leaseMs: number, line: Writable, ends: LeaseEnds) {
  const interval = Math.max(100, Math.min(leaseMs / 6, 10_000))
  const silence = leaseMs / 3
  let sent = 0n
  let answered = 0n
  /** Since when the oldest unanswered PING waits, counted anew at every answer. */
  let waitingSince: number | undefined
  let lastTick = performance.now()
  let judging = false
  let stopped = false

  async function judge(): Promise<void> {
    judging = true
    const before = answered
    const found = await ends.diagnose().catch(() => undefined)
    judging = false
    if (stopped || answered !== before) return
    if (found === 'paused') waitingSince = performance.now()
    else ends.dead(found ?? new HatchwayError('GUEST_FAILED', 'the guest helper does not answer any more'))
  }

  function tick(): void {
    const now = performance.now()
    // We were frozen, not the helper: its answers may wait unread in the socket.
    if (now - lastTick > interval * 2 && waitingSince !== undefined) waitingSince = now
    lastTick = now
    if (waitingSince !== undefined && now - waitingSince > silence && !judging) void judge()
    if (line.writableLength > QUEUED_ENOUGH && waitingSince !== undefined) return
    sent += 1n
    waitingSince ??= now
    line.write(pingFrame(sent))
  }

  const timer = setInterval(tick, interval)
  timer.unref()

  return {
    pong(opaque: bigint): void {
      if (opaque !== answered + 1n || opaque > sent)
        throw new ProtocolError(`PONG ${opaque} after ${answered} of ${sent}`)
      answered = opaque
      waitingSince = answered === sent ? undefined : performance.now()
    },
    stop(): void {
      stopped = true
      clearInterval(timer)
    },
  }
}
