import { expect, test } from 'vitest'
import type { Logger } from '../../src/observe/log.ts'
import { logEvents } from '../../src/observe/log-events.ts'

test('an event that cannot be logged is a line of its own, and harms nobody who tells of it', () => {
  const broken = new Error('broken')
  const said: unknown[] = []
  const log = {
    info() {
      throw broken
    },
    error: (fields: object, message: string) => said.push({ ...fields, message }),
  } as unknown as Logger
  logEvents(log)({ type: 'draining', sessions: 1 })
  expect(said).toEqual([{ err: broken, message: 'an event could not be logged' }])
})
