/**
 * The interoperability suite, test/parity/parity.sh, on one of the gateway's roads or on sshd as the reference: each of its
 * cases is a test. What fails on purpose is in known.ts with its reason.
 *
 * HATCHWAY_PARITY="docker;cli, guest off" chooses roads.
 */
import { execFileSync } from 'node:child_process'
import { resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { type Finding, keepFindings } from '../run/results.ts'
import { run } from '../support/run.ts'
import { EXPECTED_SKIPS, KNOWN_FAILURES, type ParityRoad, UNDECIDED } from './known.ts'

const SUITE = resolve(import.meta.dirname, 'parity.sh')
const RUNNER = resolve(import.meta.dirname, '../../scripts/parity.sh')
/** The whole suite on a busy machine. */
const SUITE_LIMIT_MS = 30 * 60_000
/** Most cases wait: for a client's fixed second, for a process to go. */
const CASES_AT_ONCE = '3'

/** Of one case: 64 logins with an exec each are a minute of CPU on the plain road. */
const CASE_SECONDS = '180'

interface Outcome {
  readonly verdict: string
  readonly reason: string
}

/** An engine of a road's own, which has hatchway-debian. */
export interface ParityEngine {
  /** As DOCKER_HOST is. */
  open(): Promise<{ readonly endpoint: string; close(): Promise<void> }>
}

/** @param otherwise whether the road is tried where HATCHWAY_PARITY says nothing */
export function parity(road: ParityRoad, otherwise = true, engine?: ParityEngine): void {
  const asked = process.env.HATCHWAY_PARITY?.split(';').map((one) => one.trim())
  describe.runIf(asked?.includes(road) ?? otherwise)(`parity on ${road}`, () => {
    const outcomes = new Map<string, Outcome>()
    const tried = new Set<string>()
    let printed = ''
    let opened: Awaited<ReturnType<ParityEngine['open']>> | undefined

    const runSuite = async (...only: string[]) => {
      const [whole = '', guest] = road.split(', guest ')
      const [kind = ''] = whole.split(' on ')
      const args = [kind, ...(guest ? ['--guest', guest] : []), ...only.map((id) => `^${id}$`)]
      const host = opened && { DOCKER_HOST: opened.endpoint }
      const env = { ...process.env, ...host, PARITY_JOBS: CASES_AT_ONCE, PARITY_TIMEOUT: CASE_SECONDS }
      const { stdout, stderr } = await run(RUNNER, args, { limit: SUITE_LIMIT_MS, env, cleansUp: true })
      for (const line of stdout.toString().split('\n')) {
        // A reason may hold a carriage return, which `.` is not.
        const [, verdict, id, reason] = /^(PASS|FAIL|SKIP) (\S+) ?(.*)$/s.exec(line) ?? []
        if (verdict && id) outcomes.set(id, { verdict, reason: reason ?? '' })
      }
      return stdout.toString() + stderr.toString()
    }

    beforeAll(async () => {
      opened = await engine?.open()
      printed = await runSuite()
    }, SUITE_LIMIT_MS)
    afterAll(() => opened?.close(), 120_000)

    afterAll(() => keepFindings({ suite: 'parity', on: road, findings: [...outcomes].map(finding(road)) }))

    test('ran to its end', () => {
      expect(printed).toMatch(/^\d+ passed, \d+ failed, \d+ skipped$/m)
    })

    test.each(cases())(
      '%s',
      async (id) => {
        // A second try is one of its own, and alone; of what all the others left, a second look says nothing.
        if (tried.has(id) && id !== 'no-leftovers') await runSuite(id)
        tried.add(id)
        const { verdict, reason } = outcomes.get(id) ?? { verdict: 'none', reason: 'was not run' }
        if (UNDECIDED[road]?.[id] !== undefined) {
          expect(verdict).toMatch(/^(PASS|FAIL)$/)
          return
        }
        const known = KNOWN_FAILURES[road][id]
        if (verdict === 'SKIP' && known === undefined) {
          expect(EXPECTED_SKIPS, `skipped: ${reason}`).toHaveProperty(id)
          return
        }
        // A case that starts to pass must leave the list, or the list stops meaning anything.
        expect(`${verdict} ${verdict === 'FAIL' ? reason : ''}`.trim()).toMatch(
          known === undefined ? /^PASS$/ : /^(FAIL|SKIP)/,
        )
      },
      120_000,
    )
  })
}

const VERDICTS: Readonly<Record<string, Finding['verdict']>> = { PASS: 'passed', FAIL: 'failed', SKIP: 'skipped' }

function finding(road: ParityRoad): (outcome: [string, Outcome]) => Finding {
  return ([name, { verdict, reason }]) => ({
    ...{ group: '', name, verdict: VERDICTS[verdict] ?? 'failed' },
    reason: KNOWN_FAILURES[road][name] ?? UNDECIDED[road]?.[name] ?? EXPECTED_SKIPS[name] ?? reason,
  })
}

function cases(): string[] {
  return execFileSync('bash', [SUITE, '--list'], { encoding: 'utf8' })
    .split('\n')
    .map((line) => line.split(' | ', 1)[0] ?? '')
    .filter((id) => id !== '')
}
