/** A folder with a trail in it, its key, and what checks them. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pino } from 'pino'
import type { Head } from '../../../src/evidence/audit/chain.ts'
import { allowedSigner, openSigningKey } from '../../../src/evidence/audit/signing-key.ts'
import { openTrail, type TrailDependencies, type TrailSettings } from '../../../src/evidence/audit/trail.ts'
import { verifyTrails } from '../../../src/evidence/audit/verify.ts'

export async function trailFolder() {
  const folder = await mkdtemp(join(tmpdir(), 'hw-test-audit-'))
  const file = join(folder, 'audit.jsonl')
  const key = await openSigningKey(join(folder, 'keys'))
  const allowed = join(folder, 'allowed_signers')
  await writeFile(allowed, allowedSigner(key.blob))
  const said: { level: number; msg: string; reason?: string }[] = []
  const log = pino({}, { write: (line: string) => void said.push(JSON.parse(line)) })
  const heads: Head[] = []
  const open = (settings: Partial<TrailSettings> = {}, more: Partial<TrailDependencies> = {}) =>
    openTrail(
      { file, rotateSize: 0, rotateEvery: 0, headEvery: 3_600_000, fsync: 'never', ...settings },
      { key, log, anchor: (head) => void heads.push(head), ...more },
    )
  return {
    folder,
    file,
    key,
    allowed,
    said,
    heads,
    open,
    /** The first trail of that name. */
    verify: async (anchors: readonly string[] = [], of = file) => {
      const [first] = await verifyTrails({ file: of, signers: new Set([key.fingerprint]), anchors })
      if (!first) throw new Error('no trail')
      return first
    },
    verifyAll: (anchors: readonly string[] = []) =>
      verifyTrails({ file, signers: new Set([key.fingerprint]), anchors }),
    lines: async (of = file) => (await readFile(of, 'utf8')).split('\n').filter((line) => line !== ''),
    change: async (change: (lines: string[]) => string[], of = file) => {
      const lines = (await readFile(of, 'utf8')).split('\n').slice(0, -1)
      await writeFile(
        of,
        change(lines)
          .map((line) => `${line}\n`)
          .join(''),
      )
    },
    remove: () => rm(folder, { recursive: true, force: true }),
  }
}
