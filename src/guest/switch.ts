/** SWITCH: move the frames from the exec to a unix socket of ours without losing their order. */
import type { Writable } from 'node:stream'
import { isTimeout, withDeadline } from '../lifetime/deadline.ts'
import { unlessAborted } from '../lifetime/on-abort.ts'
import type { DirectLine, Expected } from './direct.ts'
import { ProtocolError } from './frames.ts'
import type { Output } from './output.ts'
import { switchFrame } from './requests.ts'

export interface SwitchPlan {
  /** As the helper sees the socket. */
  readonly path: string
  readonly expected: Expected
  readonly switched: Promise<number>
  readonly output: Output
  readonly exec: Writable
  /** The helper answers in a millisecond; while we wait every session of it waits. */
  readonly answerMs: number
  /** PINGs are not answered either: an engine that hangs, or a paused container. The lease judges those. */
  readonly isSilent: () => boolean
  readonly ended: AbortSignal
}

/** The errno when the helper stays on the exec. Throws when it is between the two: it must be ended then. */
export async function switchOver(plan: SwitchPlan): Promise<DirectLine | number> {
  const { expected, output, exec } = plan
  output.hold()
  exec.write(switchFrame(expected.token, plan.path))
  try {
    for (;;) {
      const answer = await withDeadline(plan.answerMs, [plan.ended], (limit) => answered(plan, limit)).catch(
        (error: unknown) => {
          if (!isTimeout(error)) throw error
          if (!plan.isSilent()) throw new ProtocolError('no answer to SWITCH')
        },
      )
      if (answer === undefined) continue
      if (typeof answer !== 'number') return answer
      output.open(exec)
      expected.withdraw()
      return answer
    }
  } catch (error) {
    expected.withdraw()
    throw error
  }
}

async function answered({ switched, expected }: SwitchPlan, limit: AbortSignal): Promise<DirectLine | number> {
  const errno = await unlessAborted(switched, limit)
  return errno === 0 ? await unlessAborted(expected.line, limit) : errno
}
