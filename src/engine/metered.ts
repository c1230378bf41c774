/** An engine whose calls are counted and timed: each of engine.ts's, of its capabilities, too, and nothing on a stream. */
import { type FailureCode, HatchwayError } from '../base/errors.ts'
import type { Engine } from './engine.ts'

/** `aborted`: whoever asked waits no longer. */
export type CallOutcome = 'ok' | 'aborted' | FailureCode

/** A call begins; the function that is returned takes its end. @param engine its name, where it is one of several, else Engine.kind */
export type MeterCall = (engine: string, call: EngineCall) => (outcome: CallOutcome) => void

const CALLS = ['info', 'list', 'summaries', 'inspect', 'exec'] as const
const CAPABILITIES = {
  copies: ['copyOut', 'statPath', 'copyIn', 'readArchive', 'writeArchive'],
  holders: ['start', 'sweep', 'forget'],
  lifecycle: ['start', 'unpause', 'stop', 'othersInside', 'anyInside', 'logs', 'create', 'remove', 'pull', 'comesUp'],
  marks: ['put', 'list', 'drop'],
} as const satisfies {
  [Name in 'copies' | 'holders' | 'lifecycle' | 'marks']: readonly (keyof NonNullable<Engine[Name]>)[]
}

type Capability = keyof typeof CAPABILITIES
export type EngineCall =
  | (typeof CALLS)[number]
  | { [Name in Capability]: `${Name}.${(typeof CAPABILITIES)[Name][number]}` }[Capability]

/** All there are: the values of a label. */
export const ENGINE_CALLS: readonly EngineCall[] = [
  ...CALLS,
  ...CAPABILITIES.copies.map((name) => `copies.${name}` as const),
  ...CAPABILITIES.holders.map((name) => `holders.${name}` as const),
  ...CAPABILITIES.lifecycle.map((name) => `lifecycle.${name}` as const),
  ...CAPABILITIES.marks.map((name) => `marks.${name}` as const),
]

/** @param name of one of several; all of them as one are not metered */
export function createMeteredEngine(engine: Engine, meter: MeterCall, name?: string): Engine {
  /** Of each capability, so that one asked for twice is the same. */
  const made = new WeakMap<object, object>()

  return metered(engine, CALLS, '', (key, value) => {
    if (!isCapability(key)) return value
    const known = made.get(value) ?? metered(value, CAPABILITIES[key], `${key}.`)
    made.set(value, known)
    return known
  })

  /** The methods of `whole` in `calls` are metered. What they are is asked at each use: an engine may change. */
  function metered<T extends object>(
    whole: T,
    calls: readonly string[],
    prefix: string,
    member = (_key: string, value: object): object => value,
  ): T {
    return new Proxy(whole, {
      get(_, key) {
        const value: unknown = Reflect.get(whole, key)
        if (typeof key !== 'string' || !(value instanceof Object)) return value
        if (!calls.includes(key) || !(value instanceof Function)) return member(key, value)
        // Every call takes its signal last.
        return (...given: unknown[]) =>
          time(`${prefix}${key}` as EngineCall, () => Reflect.apply(value, whole, given), given.at(-1))
      },
    })
  }

  async function time(call: EngineCall, work: () => unknown, signal: unknown): Promise<unknown> {
    const ended = meter(name ?? engine.kind, call)
    try {
      const result = await work()
      ended('ok')
      return result
    } catch (error) {
      ended(outcomeOf(error, signal))
      throw error
    }
  }
}

/** A limit's own reason is a failure; any other that ends a wait says that whoever asked has gone. */
function outcomeOf(error: unknown, signal: unknown): CallOutcome {
  if (error instanceof HatchwayError) return error.code
  return signal instanceof AbortSignal && signal.aborted ? 'aborted' : 'INTERNAL'
}

function isCapability(key: string): key is Capability {
  return Object.hasOwn(CAPABILITIES, key)
}
