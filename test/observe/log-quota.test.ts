import { expect, test } from 'vitest'
import { createLineQuota } from '../../src/observe/log-quota.ts'

const line = (connection: string, msg = 'refused', level = 'warn') =>
  `${JSON.stringify({ level, time: 'now', connection, target: '"connection":"c9"', msg })}\n`

test('a connection has a thousand lines at once, then fifty a second, and the next tells of the others', () => {
  let now = 0
  const within = createLineQuota(() => now)
  const said = (count: number) => Array.from({ length: count }, () => within(line('c1'))).flat()
  expect(said(5000)).toHaveLength(1000)
  expect(within(line('c2'))).toEqual([line('c2')])
  now = 1000
  const [leftOut = '', ...rest] = said(100)
  expect(JSON.parse(leftOut)).toMatchObject({ level: 'warn', connection: 'c1', unsaid: 4000 })
  expect(rest).toHaveLength(50)
})

test('its last line is always said, with what was left out before it', () => {
  const within = createLineQuota(() => 0)
  for (let i = 0; i < 1100; i++) within(line('c1'))
  const [leftOut = '', last] = within(line('c1', 'disconnected', 'info'))
  expect(JSON.parse(leftOut)).toMatchObject({ unsaid: 100 })
  expect(last).toBe(line('c1', 'disconnected', 'info'))
})

test('lines of no connection, for debugging, and of what was done are all said', () => {
  const within = createLineQuota(() => 0)
  const other = `${JSON.stringify({ level: 'info', msg: 'draining' })}\n`
  const session = { level: 'info', connection: 'c1', session: 's1' }
  const started = `${JSON.stringify({ ...session, start: 'exec', msg: 'session started' })}\n`
  const hidden = `${JSON.stringify({ ...session, code: 'CLIENT_GONE', start: 'exec', msg: 'the client went away' })}\n`
  const ended = `${JSON.stringify({ ...session, code: 0, msg: 'session ended' })}\n`
  const killed = `${JSON.stringify({ ...session, code: 'SESSION_KILLED', start: 'shell', msg: 'session ended by the administrator' })}\n`
  // Line ends to a pattern, not to JSON: of a path, and of a user in a hostile passwd.
  const odd = `${JSON.stringify({ ...session, path: '/x\u2028/y', msg: 'sftp put' })}\n`
  const oddUser = `${JSON.stringify({ ...session, user: 'dev\u2029', start: 'exec', msg: 'session started' })}\n`
  const put = `${JSON.stringify({ ...session, path: '/x', msg: 'sftp put' })}\n`
  for (let i = 0; i < 1100; i++) within(line('c1'))
  const lines = [started, hidden, killed, ended, put, odd, oddUser, line('c1', 'withdrawn')]
  for (const each of [other, line('c1', 'connected', 'debug'), ...lines])
    expect(Array.from({ length: 2000 }, () => within(each)).flat()).toHaveLength(2000)
})

test('a session that was refused before it had a program is counted as any other line', () => {
  const within = createLineQuota(() => 0)
  const refused = `${JSON.stringify({ level: 'info', connection: 'c1', session: 's1', code: 'LOGIN_REFUSED', msg: 'no' })}\n`
  expect(Array.from({ length: 2000 }, () => within(refused)).flat()).toHaveLength(1000)
})

test('the first forward to each place is said, however many lines there were; bounded', () => {
  const within = createLineQuota(() => 0)
  const forward = (target: string, msg = 'forward opened', connection = 'c1') =>
    `${JSON.stringify({ level: 'info', connection, container: 'web', user: 'dev', target, forward: 'local', msg })}\n`
  for (let i = 0; i < 1000; i++) for (const msg of ['forward opened', 'forward ended']) within(forward('db:1', msg))
  expect(within(forward('db:1'))).toEqual([])
  expect(within(forward('secrets:443')).at(-1)).toBe(forward('secrets:443'))
  expect(within(forward('secrets:443'))).toEqual([])
  expect(within(forward('secrets:444', 'forward failed'))).toEqual([])
  // What a client calls its target is no other target's line.
  expect(within(forward('"forward":"local","msg":"forward opened"}\n')).at(-1)).toContain('forward opened')
  const others = Array.from({ length: 1000 }, (_, i) => within(forward(`db:${i + 2}`))).filter((it) => it.length > 0)
  expect(others).toHaveLength(253)
  expect(within(forward('db:1', 'forward opened', 'c2'))).toHaveLength(1)
})

test('forwards have a quota of their own: refusals do not hide them, nor they a refusal', () => {
  const within = createLineQuota(() => 0)
  const forward = line('c1', 'forward opened', 'info')
  const said = (each: string) => Array.from({ length: 1500 }, () => within(each)).flat()
  expect(said(line('c1'))).toHaveLength(1000)
  // With the one that tells of the 500.
  expect(said(forward)).toHaveLength(1001)
  expect(said(line('c2', 'forward ended', 'info'))).toHaveLength(1000)
  expect(within(line('c2'))).toHaveLength(2)
  // What a client calls its target is no forward's line.
  const named = `${JSON.stringify({ level: 'info', connection: 'c1', target: '"msg":"forward opened"}\n', msg: 'forward refused' })}\n`
  expect(within(named)).toEqual([])
})
