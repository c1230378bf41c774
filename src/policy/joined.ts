/** What two grants come to: the narrower of both, and recorded as the stricter says. */
import { strictest } from '../config/recording.ts'
import type { Granted } from './request.ts'

export function joined(one: Granted, two: Granted): Granted {
  const record = strictest([one.record, two.record])
  const { record: _, ...first } = one
  return { ...first, readOnly: one.readOnly || two.readOnly, ...(record && { record }) }
}
