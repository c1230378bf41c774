/** What a pod that was just made waits for, and why it will not run: its conditions, what its containers wait for, its events. */
import { z } from 'zod'
import { HatchwayError } from '../../base/errors.ts'
import { oneLine } from '../../base/printable.ts'
import { imageUnavailable } from '../messages.ts'

export type Coming =
  | { readonly state: 'running' }
  /** `words`: hostile text made printable. `quiet`: only events may tell more. */
  | { readonly state: 'waiting'; readonly words: string; readonly quiet: boolean }
  | { readonly state: 'failed'; readonly error: HatchwayError }

const text = z
  .string()
  .nullish()
  .catch('')
  .transform((value) => value ?? '')
const list = <T extends z.ZodType>(item: T) =>
  z
    .array(item)
    .nullish()
    .catch([])
    .transform((all) => all ?? [])
const status = z.object({
  name: text,
  state: z
    .object({
      running: z.looseObject({}).nullish(),
      waiting: z.object({ reason: text, message: text }).nullish(),
      terminated: z.object({ exitCode: z.number().catch(0), reason: text, message: text }).nullish(),
    })
    .nullish(),
})
const pod = z.object({
  metadata: z.object({ deletionTimestamp: text }),
  spec: z.object({
    nodeName: text,
    containers: list(z.object({ name: text, image: text })),
    ephemeralContainers: list(z.object({ name: text, image: text })),
    initContainers: list(z.object({ name: text, image: text })),
  }),
  status: z
    .object({
      phase: text,
      reason: text,
      message: text,
      conditions: list(z.object({ type: text, status: text, message: text })),
      containerStatuses: list(status),
      initContainerStatuses: list(status),
      ephemeralContainerStatuses: list(status),
    })
    .nullish(),
})

const NO_IMAGE = new Set([
  'ImagePullBackOff',
  'InvalidImageName',
  'ErrImageNeverPull',
  'ImageInspectError',
  'RegistryUnavailable',
])
const WILL_NOT_START = new Set([
  'CreateContainerConfigError',
  'CreateContainerError',
  'PreCreateHookError',
  'PreStartHookError',
  'PostStartHookError',
  'RunContainerError',
  'CrashLoopBackOff',
])
const WORDS = 200

/** @param name as people see it @param pullError what ErrImagePull said before: what follows it may say less */
export function comingOf(
  json: unknown,
  name: string,
  container: string,
  pullError = '',
): Coming & { readonly pullError?: string } {
  const found = pod.safeParse(json)
  if (!found.success) return failed('ENGINE_ERROR', `the container engine does not tell of container ${name}`)
  const { metadata, spec, status: now } = found.data
  const ephemeral = now?.ephemeralContainerStatuses ?? []
  const ownStatus = [...(now?.containerStatuses ?? []), ...ephemeral].find((one) => one.name === container)
  // Of a container beside others only its own state counts.
  const isBeside = spec.ephemeralContainers.some((one) => one.name === container)
  const all = isBeside
    ? ephemeral.filter((one) => one === ownStatus)
    : [...(now?.initContainerStatuses ?? []), ...(now?.containerStatuses ?? [])]
  const own = ownStatus?.state
  if (metadata.deletionTimestamp !== '') return failed('CONTAINER_GONE', `container ${name} was removed`)
  if (own?.running) return { state: 'running' }
  if (own?.terminated) return failed('CONTAINER_START_FAILED', ended(name, own.terminated))
  if (now?.phase === 'Failed' || now?.phase === 'Succeeded') {
    const init = now.initContainerStatuses.find(({ state }) => state?.terminated && state.terminated.exitCode !== 0)
    const terminated = init?.state?.terminated
    const why = terminated
      ? ended(`${init.name} of ${name}`, terminated)
      : cannot(name, now.message || now.reason || 'it ended')
    return failed('CONTAINER_START_FAILED', why)
  }
  const waiting = all.flatMap(({ name: of, state }) => (state?.waiting ? [{ of, ...state.waiting }] : []))
  for (const { of, reason, message } of waiting) {
    const image =
      [...spec.containers, ...spec.initContainers, ...spec.ephemeralContainers].find((one) => one.name === of)?.image ??
      ''
    if (NO_IMAGE.has(reason)) return { state: 'failed', error: imageUnavailable(image, pullError || message || reason) }
    if (WILL_NOT_START.has(reason)) return failed('CONTAINER_START_FAILED', cannot(name, message || reason))
    if (reason === 'ErrImagePull') {
      return { ...waits(`image ${image} cannot be pulled yet: ${message || reason}`), pullError: message || reason }
    }
  }
  const place = now?.conditions.find(({ type, status: is }) => type === 'PodScheduled' && is === 'False')
  if (place) return waits(`no node for it yet: ${place.message || 'unschedulable'}`)
  if (spec.nodeName === '') return waits('waiting for a node')
  return { ...waits(`starting on ${spec.nodeName}`), quiet: true }
}

function waits(words: string) {
  return { state: 'waiting', words: oneLine(words, WORDS), quiet: false } as const
}

function failed(code: 'ENGINE_ERROR' | 'CONTAINER_GONE' | 'CONTAINER_START_FAILED', sentence: string): Coming {
  return { state: 'failed', error: new HatchwayError(code, sentence) }
}

function cannot(name: string, why: string): string {
  return `container ${name} cannot be started: ${oneLine(why, WORDS)}`
}

function ended(
  name: string,
  { exitCode, reason, message }: { exitCode: number; reason: string; message: string },
): string {
  const last = message.trimEnd().split('\n').at(-1)?.trim() ?? ''
  if (/^(StartError|ContainerCannotRun)$/.test(reason)) return cannot(name, last || reason)
  return `container ${name} ended at once with code ${exitCode}${last === '' ? '' : `: ${oneLine(last, WORDS)}`}`
}

const events = z.object({
  items: list(z.object({ reason: text, message: text, type: text, lastTimestamp: text, eventTime: text })),
})

/** The last thing that the pod's events say of its start, if it is worth telling. */
export function latestEvent(json: unknown): string | undefined {
  const found = events.safeParse(json)
  if (!found.success) return undefined
  const when = (one: { lastTimestamp: string; eventTime: string }) =>
    Date.parse(one.lastTimestamp || one.eventTime) || 0
  const told = found.data.items.filter(({ type, reason }) => type === 'Warning' || reason === 'Pulling')
  const last = told.sort((one, other) => when(one) - when(other)).at(-1)
  if (last === undefined) return undefined
  return oneLine(last.message || last.reason, WORDS)
}

/** Why the API server would not make it: quota, admission, a field that it does not take. The name and kind at its front say nothing new. */
export function whyNotMade(message: string): string {
  return oneLine(message.replace(/^[Pp]ods? "[^"]*" is (forbidden|invalid): /, ''), WORDS)
}
