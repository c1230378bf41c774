/** What records sessions, where there is a place for it. */
import { HatchwayError } from '../base/errors.ts'
import type { Instance } from '../base/instance.ts'
import { part } from '../base/parts.ts'
import type { FixedConfig } from '../config/schema.ts'
import type { Recorder } from '../evidence/recording/recorder.ts'
import type { Scope } from '../lifetime/scope.ts'
import type { EmitEvent, GatewayName } from '../observe/events.ts'
import type { Logger } from '../observe/log.ts'

/** Loaded only where it is asked for. */
const loadRecorder = part(() => import('../evidence/recording/recorder.ts'))

/** @throws HatchwayError CONFIG_INVALID */
export async function openRecording(
  scope: Scope,
  { recording, keysDirectory }: FixedConfig,
  instance: Instance | undefined,
  gateway: GatewayName,
  emit: EmitEvent,
  log: Logger,
): Promise<Recorder | undefined> {
  const { directory } = recording
  if (directory === undefined) return undefined
  if (!instance) throw new HatchwayError('CONFIG_INVALID', `recording needs to write in keysDirectory ${keysDirectory}`)
  const { openRecorder } = await loadRecorder()
  const recorder = await openRecorder({ ...recording, directory }, keysDirectory, instance, gateway, emit, log)
  return scope.add(recorder, () => recorder.close())
}
