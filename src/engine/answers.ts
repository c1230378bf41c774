/** Does the engine answer now? Not by `info`, which a driver may remember: by a container that is not there. */
import { asHatchwayError, HatchwayError, undefinedIf } from '../base/errors.ts'
import { withDeadline } from '../lifetime/deadline.ts'
import { unlessAborted } from '../lifetime/on-abort.ts'
import type { Engine } from './engine.ts'
import { engineLimit } from './messages.ts'

const NOBODY = 'hatchway-readiness'
const ANSWER_MS = 5_000

export interface EngineHealth {
  /** Of several one that answers is enough: its containers can be entered. @throws what each failed with */
  ask(): Promise<void>
  /** What was found last, by name; of the only one by its kind. */
  known(): Readonly<Record<string, boolean>>
}

/** @param names of several, as the configuration has them */
export function createEngineHealth(engine: Engine, names: readonly string[]): EngineHealth {
  const found = new Map<string, boolean>()
  /** One that hangs is not asked again meanwhile. */
  const asking = new Map<string, Promise<void>>()

  function all(): [string, Engine][] {
    const { parts } = engine
    if (!parts) return [[engine.kind, engine]]
    return names.flatMap((name): [string, Engine][] => {
      const part = parts.named(name)
      return part ? [[name, part]] : []
    })
  }

  async function askOne(name: string, one: Engine): Promise<void> {
    const limit = engineLimit('whether it is there', ANSWER_MS)
    try {
      await withDeadline(limit, [], (signal) => unlessAborted(one.inspect(NOBODY, signal), signal)).catch(
        undefinedIf('CONTAINER_NOT_FOUND'),
      )
      found.set(name, true)
    } catch (error) {
      found.set(name, false)
      throw error
    } finally {
      asking.delete(name)
    }
  }

  function once(name: string, one: Engine): Promise<void> {
    const asked = asking.get(name) ?? askOne(name, one)
    asking.set(name, asked)
    return asked
  }

  return {
    async ask() {
      const asked = all().map(([name, one]) => once(name, one))
      await Promise.any(asked).catch((error: unknown) => {
        const [first, ...others]: unknown[] = error instanceof AggregateError ? error.errors : [error]
        if (others.length === 0) throw first
        const { code } = asHatchwayError(first)
        const sentences = [first, ...others].map((one) => asHatchwayError(one).message)
        throw new HatchwayError(code, sentences.join('; '), { cause: error })
      })
    },
    known: () =>
      Object.fromEntries(
        all().flatMap(([name]) => {
          const answers = found.get(name)
          return answers === undefined ? [] : [[name, answers]]
        }),
      ),
  }
}
