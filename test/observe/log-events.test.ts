import { expect, test } from 'vitest'
import type { Logger } from '../../src/observe/log.ts'
import { logEvents } from '../../src/observe/log-events.ts'

/** The level and the fields of each line. */
function listen() {
  const said: Record<string, unknown>[] = []
  const at = (level: string) => (fields: object, msg: string) => void said.push({ level, msg, ...fields })
  const log = { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') } as unknown as Logger
  return { said, tell: logEvents(log) }
}

const remote = { address: '192.0.2.7', port: 50_000 }
const { signal } = new AbortController()
const context = { connectionId: 'c1', user: 'dev@web', remote, local: remote, signal }
const auth = { type: 'auth', method: 'publickey', accepted: false, partial: false, durationMs: 1 } as const

test('each of the first six keys of a connection has its line, and of more the end has their number', () => {
  const { said, tell } = listen()
  for (let keysRefused = 0; keysRefused < 64; keysRefused++) tell({ ...auth, context: { ...context, keysRefused } })
  expect(said.filter(({ level }) => level === 'info')).toHaveLength(6)
  // A signature is a try.
  tell({ ...auth, context })
  expect(said.at(-1)?.level).toBe('info')
  const ended = { type: 'disconnect', connectionId: 'c1', remote, reason: 'r', durationMs: 1 } as const
  tell({ ...ended, authenticated: false, keysRefused: 64 })
  expect(said.at(-1)).toMatchObject({ level: 'info', msg: 'disconnected', keys: 64 })
  tell({ ...ended, authenticated: false, keysRefused: 6 })
  expect(said.at(-1)).toMatchObject({ level: 'debug' })
  expect(said.at(-1)).not.toHaveProperty('keys')
})

test('a login has the container that it leads to, if that is known', () => {
  const { said, tell } = listen()
  tell({ ...auth, context, accepted: true, leadsTo: 'web-1' })
  tell({ ...auth, context, accepted: true })
  expect(said[0]).toMatchObject({ msg: 'authenticated', container: 'web-1' })
  expect(said[1]).not.toHaveProperty('container')
})

test('draining says how long, and what asked for it', () => {
  const { said, tell } = listen()
  tell({ type: 'draining', sessions: 1, graceMs: 60_000, signal: 'SIGTERM' })
  expect(said).toEqual([{ level: 'info', msg: 'draining', sessions: 1, graceMs: 60_000, signal: 'SIGTERM' }])
})

test('an event that cannot be logged is a line of its own, and harms nobody who tells of it', () => {
  const broken = new Error('broken')
  const said: unknown[] = []
  const log = {
    info() {
      throw broken
    },
    error: (fields: object, message: string) => said.push({ ...fields, message }),
  } as unknown as Logger
  logEvents(log)({ type: 'draining', sessions: 1, graceMs: 0, signal: 'SIGTERM' })
  expect(said).toEqual([{ err: broken, message: 'an event could not be logged' }])
})
