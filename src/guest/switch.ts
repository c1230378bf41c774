/** SWITCH: move the frames from the exec to a unix socket of ours without losing their order. */
import type { Writable } from 'node:stream'
import { within } from '../limit.ts'
import type { DirectLine } from './direct.ts'
import { ProtocolError } from './frames.ts'
import type { Output } from './output.ts'
import { switchFrame } from './requests.ts'

/** The helper answers in a millisecond; while we wait every session of it waits. */
const ANSWER_LIMIT = 15_000

export interface SwitchPlan {
  /** As the helper sees the socket. */
  readonly path: string
  readonly token: Buffer
  /** The connection that showed the token, not yet read beyond it. */
  incoming(signal: AbortSignal): Promise<DirectLine>
  readonly switched: Promise<number>
  readonly output: Output
  readonly exec: Writable
  readonly ended: AbortSignal
}

/** The errno when the helper stays on the exec. Throws when it is between the two: it must be ended then. */
export async function switchOver(plan: SwitchPlan): Promise<DirectLine | number> {
  const limit = within(ANSWER_LIMIT, plan.ended)
  const stop = new AbortController()
  const aborted = new Promise<never>((_, reject) => {
    limit.addEventListener('abort', () => reject(new ProtocolError('no answer to SWITCH')), { once: true })
  })
  aborted.catch(() => {})
  const arrival = plan.incoming(AbortSignal.any([limit, stop.signal]))
  arrival.catch(() => {})
  plan.output.hold()
  plan.exec.write(switchFrame(plan.token, plan.path))
  try {
    const errno = await Promise.race([plan.switched, aborted])
    if (errno !== 0) {
      plan.output.open(plan.exec)
      return errno
    }
    return await Promise.race([arrival, aborted])
  } finally {
    stop.abort()
  }
}
