/** SWITCH: move the frames from the exec to a unix socket of ours without losing their order. */
import type { Writable } from 'node:stream'
import { openDeadline } from '../lifetime/deadline.ts'
import type { DirectLine, Door } from './direct.ts'
import { ProtocolError } from './frames.ts'
import type { Output } from './output.ts'
import { switchFrame } from './requests.ts'

/** The helper answers in a millisecond; while we wait every session of it waits. */
const ANSWER_LIMIT = 15_000

export interface SwitchPlan {
  /** As the helper sees the socket. */
  readonly path: string
  readonly door: Pick<Door, 'expect'>
  readonly switched: Promise<number>
  readonly output: Output
  readonly exec: Writable
  readonly ended: AbortSignal
}

/** The errno when the helper stays on the exec. Throws when it is between the two: it must be ended then. */
export async function switchOver(plan: SwitchPlan): Promise<DirectLine | number> {
  const expected = plan.door.expect()
  if (expected === undefined) throw new Error('the door is closed')
  const limit = openDeadline(ANSWER_LIMIT, plan.ended)
  const aborted = new Promise<never>((_, reject) => {
    limit.signal.addEventListener('abort', () => reject(new ProtocolError('no answer to SWITCH')), { once: true })
  })
  aborted.catch(() => {})
  plan.output.hold()
  plan.exec.write(switchFrame(expected.token, plan.path))
  try {
    const errno = await Promise.race([plan.switched, aborted])
    if (errno !== 0) {
      plan.output.open(plan.exec)
      expected.withdraw()
      return errno
    }
    return await Promise.race([expected.line, aborted])
  } catch (error) {
    expected.withdraw()
    throw error
  } finally {
    limit.release()
  }
}
