/** A recorded session is the session: what passes is taken along, and it waits for whoever is slower. */
import { Readable } from 'node:stream'
import { expect, test, vi } from 'vitest'
import { demandRecorded, recorded, recordSession, type SessionRecording } from '../../src/session/recording.ts'
import type { SessionSnapshot } from '../../src/session/registry.ts'
import type { InputSink, SessionEvents, SshSession } from '../../src/ssh/session.ts'

function world() {
  const state = { client: true, record: true, input: true }
  const seen: string[] = []
  let events: SessionEvents | undefined
  let sink: InputSink | undefined
  let drained = () => {}
  const resume = vi.fn()
  const session: SshSession = {
    start: { kind: 'shell' },
    agentForwarding: false,
    env: new Map(),
    stdin: Readable.from([]),
    closed: new AbortController().signal,
    accept() {},
    reject() {},
    listen(to) {
      events = to
    },
    pour(to) {
      sink = to
      return { resume, stop() {} }
    },
    write(fd, chunk) {
      seen.push(`client ${fd} ${chunk}`)
      return state.client
    },
    stopReading() {},
    exit: async () => {},
  }
  const recording: SessionRecording = {
    output(fd, chunk) {
      seen.push(`record ${fd} ${chunk}`)
      return state.record
    },
    input: () => state.input,
    resize: ({ cols, rows }) => void seen.push(`record ${cols}x${rows}`),
    onDrain(callback) {
      drained = callback
    },
    end() {},
  }
  return {
    ...{ state, seen, session, resume },
    both: recorded(session, recording),
    clientDrains: () => events?.drain?.(),
    recordDrains: () => drained(),
    resized: () => events?.resize?.({ cols: 100, rows: 50, width: 0, height: 0 } as never),
    typed: (text: string) => sink?.write(Buffer.from(text)),
  }
}

test('what the program writes goes to the record and to the client, and window changes to both', () => {
  const { both, seen, resized } = world()
  const resize = vi.fn()
  both.listen({ resize })
  expect(both.write(1, Buffer.from('a'))).toBe(true)
  expect(both.write(2, Buffer.from('b'))).toBe(true)
  resized()
  expect(resize).toHaveBeenCalledOnce()
  expect(seen).toEqual(['record 1 a', 'client 1 a', 'record 2 b', 'client 2 b', 'record 100x50'])
})

test.each([
  ['client', 'record'],
  ['record', 'client'],
] as const)('it goes on when %s and %s have drained, in that order, and no earlier', (first, second) => {
  const { both, state, clientDrains, recordDrains } = world()
  const drain = vi.fn()
  both.listen({ drain })
  state.client = false
  state.record = false
  expect(both.write(1, Buffer.from('a'))).toBe(false)
  const drains = { client: clientDrains, record: recordDrains }
  drains[first]()
  expect(drain).not.toHaveBeenCalled()
  drains[second]()
  expect(drain).toHaveBeenCalledOnce()
})

test('what is full is asked again: a chunk in between does not make it go on', () => {
  const { both, state, clientDrains, recordDrains } = world()
  const drain = vi.fn()
  both.listen({ drain })
  state.record = false
  expect(both.write(1, Buffer.from('a'))).toBe(false)
  state.record = true
  expect(both.write(1, Buffer.from('b'))).toBe(false)
  clientDrains()
  expect(drain).not.toHaveBeenCalled()
  recordDrains()
  expect(drain).toHaveBeenCalledOnce()
  expect(both.write(1, Buffer.from('c'))).toBe(true)
})

test('input waits for its record and for the program', () => {
  const { both, state, resume, recordDrains, typed } = world()
  let takes = true
  const poured = both.pour({ write: () => takes, end() {} })
  expect(typed('a')).toBe(true)
  state.input = false
  takes = false
  expect(typed('b')).toBe(false)
  recordDrains()
  expect(resume).not.toHaveBeenCalled()
  poured.resume()
  expect(resume).toHaveBeenCalledOnce()
})

test('without a place for records one that must be recorded is refused, another goes on', async () => {
  const { session, seen } = world()
  const facts = { whose: {} as never, session: {} as SessionSnapshot, start: { kind: 'shell' } as const }
  const { signal } = new AbortController()
  const of = ['terminal'] as const
  const must = { ...facts, terms: { mode: 'required', of, notice: true } as const }
  await expect(recordSession(session, must, undefined, signal)).rejects.toMatchObject({ code: 'RECORDING_UNAVAILABLE' })
  const may = { ...facts, terms: { mode: 'best-effort', of, notice: true } as const }
  expect(await recordSession(session, may, undefined, signal)).toBeUndefined()
  // Nobody is told that it is recorded.
  expect(seen).toEqual([])
})

test('what must be recorded of root is not done in a session that goes unrecorded', () => {
  const must = { mode: 'required', of: ['files'], notice: false } as const
  const refused = expect.objectContaining({ code: 'NOT_PERMITTED' })
  expect(() => demandRecorded(undefined, must)).toThrow(refused)
  expect(() => demandRecorded({ ...must, mode: 'best-effort' }, must)).toThrow(refused)
  expect(() => demandRecorded({ ...must, of: ['terminal'] }, must)).toThrow(refused)
  expect(() => demandRecorded({ ...must, of: ['terminal', 'files'] }, must)).not.toThrow()
  expect(() => demandRecorded(undefined, { ...must, mode: 'best-effort' })).not.toThrow()
})
