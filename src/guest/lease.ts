/**
 * Is the other side still there? Whatever the gateway sends renews the helper's lease, and a PING goes where nothing else
 * may; whatever the helper sends is a sign of life, and its PONG comes where nothing else does. Both travel with the
 * frames, on the direct path past the engine: an engine that hangs says nothing of a helper. Silence of a paused container
 * is no death either.
 */
import { HatchwayError } from '../base/errors.ts'
import { ProtocolError, pingFrame } from './frames.ts'

export interface LeaseEnds {
  diagnose(): Promise<HatchwayError | 'paused' | undefined>
  dead(error: HatchwayError): void
}

/** The sender of PINGs on one line; the PONGs come back on the same. */
export interface Pinging {
  /** @throws ProtocolError for a PONG that answers no PING */
  pong(opaque: bigint): void
}

const PING_EVERY_MS = 10_000
/** Nothing heard for so long: the container is looked at. */
const SILENCE_MS = 20_000
/** PINGs that a frozen container has not read; more would only grow the queue, and these renew as well. */
const MAX_UNANSWERED = 4096n

export function createLease(leaseMs: number, send: (ping: Buffer) => void, ends: LeaseEnds) {
  const interval = Math.max(100, Math.min(leaseMs / 6, PING_EVERY_MS))
  const silence = Math.min(leaseMs / 3, SILENCE_MS)
  let line = createLine(send)
  let isHeard = false
  /** The last round at which something had been heard, or was not awaited. */
  let quietSince = performance.now()
  let lastTick = quietSince
  let judging = false
  let stopped = false

  async function judge(): Promise<void> {
    judging = true
    const before = quietSince
    const found = await ends.diagnose().catch(() => undefined)
    judging = false
    if (stopped || isHeard || quietSince !== before) return
    if (found === 'paused') quietSince = performance.now()
    // An engine that does not answer tells nothing of the helper; but when its lease is over, the helper has ended its sessions.
    else if (found && found.code !== 'CONTAINER_GONE' && performance.now() - before < leaseMs) return
    else ends.dead(found ?? new HatchwayError('GUEST_FAILED', 'the guest helper does not answer any more'))
  }

  function tick(): void {
    const now = performance.now()
    // Where the time was lost by us, the helper's words may wait unread in the socket.
    if (isHeard || !line.awaits || now - lastTick > interval * 2) quietSince = now
    isHeard = false
    lastTick = now
    if (now - quietSince > silence && !judging) void judge()
    line.ping()
  }

  // biome-ignore lint/plugin: a plain tick, which never waits; its own delay tells whether we were frozen
  const timer = setInterval(tick, interval)
  timer.unref()

  return {
    /** The line that the lease began with. */
    first: line as Pinging,
    /** Something is awaited, and nothing came since the last round. */
    get isSilent(): boolean {
      return line.awaits && !isHeard
    },
    /** Something came from the helper. */
    heard(): void {
      isHeard = true
    },
    /** From now on PINGs go another way; PONGs to those before still come on the way they went. */
    moveTo(send: (ping: Buffer) => void): Pinging {
      line = createLine(send)
      return line
    },
    stop(): void {
      stopped = true
      clearInterval(timer)
    },
  }
}

function createLine(send: (ping: Buffer) => void) {
  let sent = 0n
  let answered = 0n
  return {
    get awaits() {
      return answered < sent
    },
    ping(): void {
      if (sent - answered >= MAX_UNANSWERED) return
      sent += 1n
      send(pingFrame(sent))
    },
    pong(opaque: bigint): void {
      if (opaque !== answered + 1n || opaque > sent)
        throw new ProtocolError(`PONG ${opaque} after ${answered} of ${sent}`)
      answered = opaque
    },
  }
}
