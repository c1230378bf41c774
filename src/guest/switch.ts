/** SWITCH: move the frames from the exec to a unix socket of ours without losing their order. */
import type { Writable } from 'node:stream'
import { isTimeout, withDeadline } from '../lifetime/deadline.ts'
import { unlessAborted } from '../lifetime/on-abort.ts'
import type { DirectLine, Expected } from './direct.ts'
import { ProtocolError } from './frames.ts'
import type { Output } from './output.ts'
import { switchFrame } from './requests.ts'

/** The helper answers in a millisecond; while we wait every session of it waits. */
const ANSWER_LIMIT_MS = 15_000

export interface SwitchPlan {
  /** As the helper sees the socket. */
  readonly path: string
  readonly expected: Expected
  readonly switched: Promise<number>
  readonly output: Output
  readonly exec: Writable
  readonly ended: AbortSignal
}

/** The errno when the helper stays on the exec. Throws when it is between the two: it must be ended then. */
export async function switchOver(plan: SwitchPlan): Promise<DirectLine | number> {
  const { expected, output, exec } = plan
  output.hold()
  exec.write(switchFrame(expected.token, plan.path))
  try {
    return await withDeadline(ANSWER_LIMIT_MS, [plan.ended], async (limit) => {
      const errno = await unlessAborted(plan.switched, limit)
      if (errno === 0) return await unlessAborted(expected.line, limit)
      output.open(exec)
      expected.withdraw()
      return errno
    })
  } catch (error) {
    expected.withdraw()
    throw isTimeout(error) ? new ProtocolError('no answer to SWITCH') : error
  }
}
