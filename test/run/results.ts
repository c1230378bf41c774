/**
 * What the contract and the parity suite found of each engine, kept in HATCHWAY_TEST_RESULTS, a folder, for the tables in
 * docs/engines.md: test/run/engine-table.mjs writes them. Without that variable nothing is kept.
 */
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

export interface Finding {
  /** A part of the contract; "" in the parity suite. */
  readonly group: string
  readonly name: string
  readonly verdict: 'passed' | 'failed' | 'skipped'
  /** Why it was skipped, or is known to fail. */
  readonly reason?: string
}

export interface EngineFindings {
  readonly suite: 'contract' | 'parity'
  /** The driver or the road. */
  readonly on: string
  /** As the engine names itself: "docker 20.10.24". */
  readonly engine?: string
  readonly findings: readonly Finding[]
}

export function keepFindings(found: EngineFindings): void {
  const folder = process.env.HATCHWAY_TEST_RESULTS
  if (folder === undefined || found.findings.length === 0) return
  mkdirSync(folder, { recursive: true })
  const name = `${found.suite} ${found.on}`.replaceAll(/[^a-z0-9]+/gi, '-')
  writeFileSync(join(folder, `${name}.json`), `${JSON.stringify(found, null, 2)}\n`)
}
