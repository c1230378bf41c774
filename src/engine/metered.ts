/** An engine whose calls are counted and timed: each of engine.ts's, also of holders and lifecycle, and nothing on a stream. */
import { type FailureCode, HatchwayError } from '../base/errors.ts'
import type { Engine } from './engine.ts'

/** `aborted`: whoever asked waits no longer. */
export type CallOutcome = 'ok' | 'aborted' | FailureCode

/** A call begins; the function that is returned takes its end. @param engine Engine.kind */
export type MeterCall = (engine: string, call: EngineCall) => (outcome: CallOutcome) => void

const CALLS = [
  'info',
  'list',
  'inspect',
  'exec',
  'copyOut',
  'statPath',
  'copyIn',
  'readArchive',
  'writeArchive',
] as const
const GROUPS = {
  holders: ['start', 'sweep', 'forget'],
  lifecycle: ['start', 'unpause', 'stop', 'othersInside', 'logs', 'create', 'remove', 'pull'],
} as const satisfies { [Group in 'holders' | 'lifecycle']: readonly (keyof NonNullable<Engine[Group]>)[] }

export type EngineCall =
  | (typeof CALLS)[number]
  | { [Group in keyof typeof GROUPS]: `${Group}.${(typeof GROUPS)[Group][number]}` }[keyof typeof GROUPS]

/** All there are: the values of a label. */
export const ENGINE_CALLS: readonly EngineCall[] = [
  ...CALLS,
  ...GROUPS.holders.map((name) => `holders.${name}` as const),
  ...GROUPS.lifecycle.map((name) => `lifecycle.${name}` as const),
]

export function createMeteredEngine(engine: Engine, meter: MeterCall): Engine {
  return metered(
    engine,
    (key) => (isOneOf(CALLS, key) ? key : undefined),
    (key, value) => {
      if (!isGroup(key) || !(value instanceof Object)) return value
      const calls: readonly string[] = GROUPS[key]
      return metered(value, (name) => (calls.includes(name) ? (`${key}.${name}` as EngineCall) : undefined))
    },
  )

  /** The methods of `whole` that `callOf` names are metered. What they are is asked at each use: an engine may change. */
  function metered<T extends object>(
    whole: T,
    callOf: (key: string) => EngineCall | undefined,
    part = (_key: string, value: unknown): unknown => value,
  ): T {
    const known = new WeakMap<object, unknown>()
    return new Proxy(whole, {
      get(_, key) {
        const value: unknown = Reflect.get(whole, key)
        if (typeof key !== 'string' || !(value instanceof Object)) return value
        const made = known.get(value) ?? (callOf(key) === undefined ? part(key, value) : counted(key, value))
        known.set(value, made)
        return made
      },
    })

    function counted(key: string, method: object): unknown {
      const call = callOf(key)
      if (call === undefined || !(method instanceof Function)) return method
      // Every call takes its signal last.
      return (...given: unknown[]) => time(call, () => Reflect.apply(method, whole, given), given.at(-1))
    }
  }

  async function time(call: EngineCall, work: () => unknown, signal: unknown): Promise<unknown> {
    const ended = meter(engine.kind, call)
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

function isOneOf<T extends string>(all: readonly T[], key: string): key is T {
  return (all as readonly string[]).includes(key)
}

function isGroup(key: string): key is keyof typeof GROUPS {
  return Object.hasOwn(GROUPS, key)
}
