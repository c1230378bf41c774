/** The audit trail in the configuration: what its keys may be, and what does not go together. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, expect, test } from 'vitest'
import { ConfigError, loadConfig } from '../../src/config/load.ts'

const folder = mkdtempSync(join(tmpdir(), 'hw-test-audit-config-'))
afterAll(() => rmSync(folder, { recursive: true }))

function problems(audit: string): readonly string[] {
  const file = join(folder, 'hatchway.yaml')
  writeFileSync(file, `audit: ${audit}\n`)
  try {
    loadConfig({ file, env: { HOME: folder } })
  } catch (error) {
    if (error instanceof ConfigError) return error.problems.map((problem) => problem.replace(`${folder}/`, ''))
    throw error
  }
  return []
}

test.each([
  ['{ onFailure: refuse }', /^hatchway.yaml:1: audit.onFailure: nothing is recorded without audit.file/],
  ['{ rotateSize: 1000K }', /audit.rotateSize: expected bytes such as 100M, at least 1M, or none, got "1000K"/],
  ['{ rotateSize: 0 }', /audit.rotateSize: expected bytes .*, got 0/],
  ['{ rotateEvery: 59 }', /audit.rotateEvery: expected a time such as 12h or 1d, at least 1m, or none/],
  ['{ headEvery: none }', /audit.headEvery: expected a time such as 1m, at least 1s/],
  ['{ headEvery: 500ms }', /audit.headEvery: expected a time such as 1m, at least 1s/],
])('%s is refused', (audit, expected) => expect(problems(audit)).toEqual([expect.stringMatching(expected)]))

test.each([
  '{ onFailure: refuse, file: audit.jsonl }',
  '{ onFailure: continue }',
  '{ rotateSize: 1M, rotateEvery: 1m, headEvery: 1s }',
  '{ rotateSize: none, rotateEvery: none }',
])('%s is taken', (audit) => expect(problems(audit)).toEqual([]))
