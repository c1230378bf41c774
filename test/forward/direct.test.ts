/** What is told of a forward that fails: to its client, and to the log. */
import pino from 'pino'
import { expect, test } from 'vitest'
import type { Engine } from '../../src/engine/engine.ts'
import { directForwards } from '../../src/forward/direct.ts'
import { type Guest, GuestRefusal } from '../../src/guest/guest.ts'
import { logEvents } from '../../src/observe/log-events.ts'
import { NO_BOOK } from '../support/book.ts'
import { annas, dev, web } from '../support/people-and-places.ts'

test('what nobody inside answers is in the log, with where it was to go and why', async () => {
  const lines: string[] = []
  const log = pino({}, { write: (line: string) => void lines.push(line) })
  const refuse = () => Promise.reject(new GuestRefusal('connect', 'ECONNREFUSED', 'localhost:81'))
  const direct = directForwards({
    whose: annas,
    emit: logEvents(log),
    engine: {} as Engine,
    enter: async () => ({ target: { container: web, info: dev } }),
    book: NO_BOOK,
    guestFor: async () => ({ connect: refuse }) as Partial<Guest> as Guest,
    hold: () => () => {},
  })
  const originator = { address: '127.0.0.1', port: 1 }
  const asked = { kind: 'tcp', host: 'localhost', port: 81, originator } as const
  expect(await direct(asked, new AbortController().signal)).toEqual({
    reason: 'connect-failed',
    message: 'Connection refused',
  })
  expect(lines.map((line) => JSON.parse(line))).toMatchObject([
    {
      ...{ level: 30, msg: 'forward failed', reason: 'Connection refused', target: 'localhost:81', forward: 'local' },
      ...{ container: 'web', user: 'dev' },
    },
  ])
})
