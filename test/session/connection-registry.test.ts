import { afterEach, expect, test, vi } from 'vitest'
import { HatchwayError } from '../../src/base/errors.ts'
import { Traffic } from '../../src/bytes/traffic.ts'
import type { ForwardFacts } from '../../src/forward/book.ts'
import type { ForwardFailure } from '../../src/forward/forward-events.ts'
import { ConnectionRegistry, type ForwardEvent } from '../../src/session/connection-registry.ts'
import { SessionRegistry } from '../../src/session/registry.ts'

const remote = { address: '192.0.2.7', port: 50_000 }
const identity = { name: 'alice', fingerprint: 'SHA256:x' }
const container = { id: 'a'.repeat(64), name: 'web' }
const LOCAL: ForwardFacts = { kind: 'local', place: 'db:5432', container, user: 'dev' }
const AGENT: ForwardFacts = { ...LOCAL, kind: 'agent', place: '/tmp/ssh-1/agent.sock' }

function world(demandRecord?: () => void) {
  const told: (ForwardEvent | ForwardFailure)[] = []
  const ended: string[] = []
  const leaving: string[] = []
  const closed = new AbortController()
  const sessions: SessionRegistry = new SessionRegistry({
    opened: (session) => connections.sessionOpened(session),
    ended: (session) => connections.sessionEnded(session),
  })
  const connections = new ConnectionRegistry(sessions, (event) => told.push(event), demandRecord)
  const book = connections.open({
    ...{ id: 'c1', identity, remote, user: 'dev@web\u001b', closed: closed.signal },
    disconnect: (message) => void ended.push(message),
    leaving: (reason) => void leaving.push(reason),
  })
  const session = () =>
    sessions.open({ connectionId: 'c1', identity, remote, container, user: 'dev', start: 'shell', tty: true })
  return { told, ended, leaving, closed, sessions, connections, book, session }
}

afterEach(() => void vi.useRealTimers())

test('the bytes of forwards add up, also of those that end after their connection', () => {
  const { connections, book, closed } = world()
  const [one, two] = [new Traffic(), new Traffic()]
  const [first, second] = [book.opened(LOCAL, one), book.opened(LOCAL, two)]
  one.addIn(1)
  two.addOut(20)
  expect(connections.forwardTraffic()).toEqual({ bytesIn: 1, bytesOut: 20 })
  const listening = book.listening(AGENT)
  expect([[...connections.forwards()].length, [...connections.listeners()].length]).toEqual([2, 1])
  first()
  first()
  closed.abort()
  expect(connections.size).toBe(0)
  expect(connections.forwardTraffic()).toEqual({ bytesIn: 1, bytesOut: 20 })
  two.addOut(300)
  second()
  listening()
  expect([[...connections.forwards()].length, [...connections.listeners()].length]).toEqual([0, 0])
  expect(connections.forwardTraffic()).toEqual({ bytesIn: 1, bytesOut: 320 })
})

test('a login has its sessions, forwards and listeners, and the bytes of all it has had', () => {
  const { connections, book, session } = world()
  const traffic = new Traffic()
  const [one, two] = [session(), session()]
  const over = book.opened(LOCAL, traffic)
  book.listening(AGENT)
  one.addIn(1)
  two.addOut(10)
  traffic.addIn(100)
  const [login] = connections.list()
  expect(login).toMatchObject({
    connectionId: 'c1',
    identity,
    remote,
    login: 'dev@web\\x1b',
    bytesIn: 101,
    bytesOut: 10,
  })
  expect(login?.sessions.map(({ id }) => id)).toEqual([one.id, two.id])
  expect(login?.forwards).toMatchObject([{ kind: 'local', place: 'db:5432', bytesIn: 100 }])
  expect(login?.listeners).toMatchObject([{ kind: 'agent' }])
  one.end({ code: 0 })
  over()
  over()
  expect(connections.list()[0]).toMatchObject({ bytesIn: 101, bytesOut: 10, forwards: [] })
})

test('a connection has the container that its login led to, said before it opened or after', () => {
  const closed = new AbortController().signal
  const sessions = new SessionRegistry()
  const connections = new ConnectionRegistry(sessions)
  connections.leadsTo(closed, container)
  connections.open({ id: 'c1', identity, remote, user: 'dev', closed, leaving: () => {}, disconnect: () => {} })
  expect(connections.list()[0]).toMatchObject({ login: 'dev', container })
  connections.leadsTo(closed, { ...container, name: 'chosen' })
  expect(connections.list()[0]).toMatchObject({ container: { name: 'chosen' } })
  expect(world().connections.list()[0]).not.toHaveProperty('container')
})

test('it is active when a byte passes, and when something of it begins or ends', () => {
  vi.useFakeTimers({ now: 1000 })
  const { connections, book, session } = world()
  const active = () => connections.list()[0]?.activeAt
  expect(active()).toBe(1000)
  const record = session()
  vi.setSystemTime(2000)
  record.addOut(1)
  expect(active()).toBe(2000)
  vi.setSystemTime(3000)
  const traffic = new Traffic()
  const over = book.opened(LOCAL, traffic)
  vi.setSystemTime(4000)
  traffic.addIn(1)
  expect(active()).toBe(4000)
  vi.setSystemTime(5000)
  over()
  record.end({ code: 0 })
  vi.setSystemTime(9000)
  expect(active()).toBe(5000)
})

test('forwards and listeners are events, with bytes at their end', () => {
  const { told, book } = world()
  const traffic = new Traffic()
  const over = book.opened({ ...LOCAL, place: 'x'.repeat(500) }, traffic)
  traffic.addOut(7)
  over()
  book.listening(AGENT)()
  expect(told.map(({ type }) => type)).toEqual([
    ...['forward-opened', 'forward-ended', 'listener-opened', 'listener-ended'],
  ])
  expect(told[1]).toMatchObject({ whose: { connectionId: 'c1', identity, remote }, forward: { bytesOut: 7 } })
  expect(told[1]).toHaveProperty('forward.place', `${'x'.repeat(200)}...`)
})

test('it is ended after its sessions had time to say why, at once without any, and in the end in any case', async () => {
  vi.useFakeTimers()
  const { connections, ended, leaving, session } = world()
  const record = session()
  const reasons: string[] = []
  record.onKill((reason) => reasons.push(reason))
  expect(connections.kill('c1')).toBe(true)
  expect(reasons).toEqual(['ended by the administrator'])
  // Whoever is the first to leave.
  expect(leaving).toEqual(['hatchway: connection ended by the administrator'])
  await vi.advanceTimersByTimeAsync(1000)
  expect(ended).toEqual([])
  record.end({ code: 255 })
  await vi.advanceTimersByTimeAsync(300)
  expect(ended).toEqual(['hatchway: connection ended by the administrator'])

  const [idle, stuck] = [world(), world()]
  idle.connections.kill('c1')
  await vi.advanceTimersByTimeAsync(1)
  expect(idle.ended).toHaveLength(1)
  stuck.session()
  stuck.connections.kill('c1')
  await vi.advanceTimersByTimeAsync(3000)
  expect(stuck.ended).toHaveLength(1)
})

test('one that is gone is not there', () => {
  const { connections, closed } = world()
  closed.abort()
  expect(connections.list()).toEqual([])
  expect(connections.kill('c1')).toBe(false)
})

test('what comes to a listener while nothing can be recorded is refused, and told once until it can be again', () => {
  let isKept = false
  const { told, book } = world(() => {
    if (!isKept) throw new HatchwayError('AUDIT_UNAVAILABLE', 'nothing may go unrecorded')
  })
  const refused = { type: 'forward-failed', kind: 'agent', code: 'AUDIT_UNAVAILABLE', whose: { connectionId: 'c1' } }
  for (let count = 0; count < 3; count++) expect(() => book.demand(AGENT)).toThrow('nothing may go unrecorded')
  expect(told).toMatchObject([refused])
  isKept = true
  book.demand(AGENT)
  isKept = false
  expect(() => book.demand(AGENT)).toThrow()
  expect(told).toMatchObject([refused, refused])
})
