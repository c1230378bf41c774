/** A recording without a gateway: a folder, a key, and a session that somebody might have had. */
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openSigningKey } from '../../../src/evidence/audit/signing-key.ts'
import { type CastEvent, readCast, streamBytes } from '../../../src/evidence/recording/read-stream.ts'
import { beginRecording, type Recording } from '../../../src/evidence/recording/recording.ts'
import type { RecordingStart } from '../../../src/session/recording.ts'
import type { SessionEnd, SessionSnapshot } from '../../../src/session/registry.ts'

export const GATEWAY = { id: 'a'.repeat(32), process: 'b'.repeat(32), host: 'gate' }

export function session(more: Partial<SessionSnapshot> = {}): SessionSnapshot {
  return {
    id: '1a2b3c4d',
    connectionId: 'c1',
    identity: { name: 'anna', fingerprint: 'SHA256:x' },
    remote: { address: '10.0.0.1', port: 4711 },
    container: { id: 'f'.repeat(64), name: 'web', image: 'alpine' },
    user: 'dev',
    start: 'shell',
    tty: true,
    state: 'running',
    bytesIn: 0,
    bytesOut: 0,
    activeAt: 0,
    createdAt: 0,
    ...more,
  }
}

export interface World {
  readonly directory: string
  readonly told: string[]
  readonly logged: string[]
  readonly key: Awaited<ReturnType<typeof openSigningKey>>
  begin(more?: Partial<RecordingStart>, signal?: AbortSignal): Promise<Recording>
}

export async function openWorld(directory = mkdtempSync(join(tmpdir(), 'hw-records-'))): Promise<World> {
  const key = await openSigningKey(mkdtempSync(join(tmpdir(), 'hw-record-keys-')))
  const told: string[] = []
  const logged: string[] = []
  const note = (_: object, text: string) => void logged.push(text)
  const log = { info: note, warn: note, error: note } as never
  return {
    directory,
    told,
    logged,
    key,
    begin: (more = {}, signal = new AbortController().signal) =>
      beginRecording(
        {
          whose: {
            connectionId: 'c1',
            identity: { name: 'anna', fingerprint: 'SHA256:x', method: 'publickey' },
            remote: { address: '10.0.0.1', port: 4711 },
            login: 'dev@web',
          },
          session: session(),
          terms: { mode: 'required', of: ['terminal', 'commands', 'files', 'forwards'], notice: false },
          pty: { cols: 80, rows: 24, term: 'xterm', modes: Buffer.alloc(0) },
          tell: (sentence) => void told.push(sentence),
          ...more,
        },
        { directory, gateway: GATEWAY, key, account: { bytes: 0 }, log, turn: (work) => work(), retryMs: 20 },
        signal,
      ),
  }
}

export async function ended(recording: Recording, end: SessionEnd = { code: 0 }, of = session()) {
  recording.end({ ...of, end })
  const sealed = await recording.sealed
  if (!sealed) throw new Error('it was given up')
  return sealed.manifest
}

/** Array.fromAsync(), which node 20 does not have. */
export async function all<T>(source: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = []
  for await (const one of source) found.push(one)
  return found
}

export async function castOf(directory: string, id: string): Promise<CastEvent[]> {
  return all((await readCast(join(directory, id, 'session.cast.gz'))).events)
}

export async function bytesIn(directory: string, id: string, code: 'o' | 'e' | 'i'): Promise<Buffer> {
  const { events } = await readCast(join(directory, id, 'session.cast.gz'))
  return Buffer.concat(await all(streamBytes(events, code)))
}
