/** All recordings of a gateway: who gets which events, what is told of a record's end, and what a broken place does. */
import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { recordLines } from '../../../src/evidence/recording/read-stream.ts'
import { openRecorder } from '../../../src/evidence/recording/recorder.ts'
import { listRecords } from '../../../src/evidence/recording/records.ts'
import type { EventFacts, GatewayEvent } from '../../../src/observe/events.ts'
import type { RecordingStart } from '../../../src/session/recording.ts'
import { all, GATEWAY, session } from './world.ts'

const { signal } = new AbortController()
const whose = {
  connectionId: 'c1',
  identity: { name: 'anna', fingerprint: 'SHA256:x' },
  remote: { address: '10.0.0.1', port: 4711 },
  login: 'dev@web',
}

async function world() {
  const directory = mkdtempSync(join(tmpdir(), 'hw-recorder-'))
  const told: EventFacts[] = []
  const quiet = { info() {}, warn() {}, error() {} } as never
  const instance = { gateway: GATEWAY.id, id: GATEWAY.process, lives: async () => true } as never
  const keys = mkdtempSync(join(tmpdir(), 'hw-recorder-keys-'))
  const settings = { directory, keepFor: 0, keepSize: 0, record: undefined }
  const recorder = await openRecorder(settings, keys, instance, GATEWAY, (event) => told.push(event), quiet)
  const start = (id: string, of: RecordingStart['terms']['of'], mode: 'required' | 'best-effort' = 'required') => ({
    ...{ whose, session: session({ id, start: 'subsystem', tty: false }), tell() {} },
    terms: { mode, of, notice: false },
  })
  return { directory, recorder, told, start }
}

const at = { at: 0, gateway: GATEWAY, engine: '' }
const sftp = (id: string, path: string) =>
  ({
    type: 'sftp',
    whose,
    session: session({ id }),
    operation: { name: 'mkdir', path, result: 'OK' },
    ...at,
  }) as GatewayEvent
const forward = (connectionId: string, place: string) =>
  ({
    type: 'forward-opened',
    whose: { ...whose, connectionId },
    forward: { kind: 'local', place, bytesIn: 0, bytesOut: 0 },
    ...at,
  }) as GatewayEvent

test('files go to their session, forwards to all sessions of the connection, where they are recorded', async () => {
  const { directory, recorder, start } = await world()
  const one = await recorder.begin(start('00000001', ['files', 'forwards']), signal)
  const two = await recorder.begin(start('00000002', ['forwards']), signal)
  expect([recorder.wantsFiles('00000001'), recorder.wantsFiles('00000002')]).toEqual([true, false])
  for (const event of [sftp('00000001', '/a'), sftp('00000002', '/b'), forward('c1', 'x:1'), forward('c2', 'y:1')])
    recorder.read(event)
  one?.end(session({ id: '00000001', end: { code: 0 } }))
  two?.end(session({ id: '00000002', end: { code: 0 } }))
  await recorder.close()
  const lines = async (id: string) => {
    const found = (await all(listRecords(directory))).find((entry) => entry.id.endsWith(id))
    return (await all(recordLines(join(found?.folder ?? '', 'events.jsonl.gz')))).map((line) => JSON.parse(line))
  }
  expect(await lines('00000001')).toMatchObject([
    { type: 'file', path: '/a' },
    { type: 'forward-opened', place: 'x:1' },
  ])
  expect(await lines('00000002')).toMatchObject([{ place: 'x:1' }])
  expect(recorder.lag()).toEqual({ live: 0, waitingBytes: 0 })
})

test('the end of a record is told, with what identifies its manifest', async () => {
  const { directory, recorder, told, start } = await world()
  const recording = await recorder.begin(start('00000003', ['files']), signal)
  recording?.end(session({ id: '00000003', end: { signal: 'TERM' } as never }))
  await recorder.close()
  const [event] = told
  if (event?.type !== 'recorded') throw new Error('nothing was told')
  expect(event).toMatchObject({
    whose,
    session: '00000003',
    user: 'dev',
    state: 'complete',
    container: { name: 'web' },
  })
  const manifest = readFileSync(join(directory, event.record, 'manifest.json'))
  expect(event.sha256).toBe(createHash('sha256').update(manifest).digest('hex'))
  expect(JSON.parse(manifest.toString()).outcome).toEqual({ signal: 'TERM' })
})

test('where nothing can be written one that must be recorded is refused, and another goes unrecorded', async () => {
  const { directory, recorder, start } = await world()
  rmSync(directory, { recursive: true })
  await expect(recorder.begin(start('00000004', ['files']), signal)).rejects.toMatchObject({
    code: 'RECORDING_UNAVAILABLE',
  })
  expect(await recorder.begin(start('00000005', ['files'], 'best-effort'), signal)).toBeUndefined()
  expect(recorder.lag().live).toBe(0)
  await recorder.close()
})
