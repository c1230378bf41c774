/**
 * The interoperability suite, test/parity/parity.sh, on the gateway's roads and on sshd as the reference: each of its
 * cases is a test here. What fails on purpose is in test/parity/known.ts with its reason.
 *
 * HATCHWAY_PARITY="docker;cli, guest off" chooses roads.
 */
import { execFileSync } from 'node:child_process'
import { resolve } from 'node:path'
import { beforeAll, describe, expect, test } from 'vitest'
import { EXPECTED_SKIPS, KNOWN_FAILURES, type ParityRoad, UNDECIDED } from '../parity/known.ts'
import { run } from '../support/containers.ts'

const SUITE = resolve(import.meta.dirname, '../parity/parity.sh')
const RUNNER = resolve(import.meta.dirname, '../../scripts/parity.sh')
/** The whole suite on a busy machine. */
const LIMIT = 30 * 60_000

const DEFAULT: readonly ParityRoad[] = ['docker', 'cli', 'sshd', 'docker, guest off']
const asked = process.env.HATCHWAY_PARITY?.split(';').map((road) => road.trim())
const roads = (Object.keys(KNOWN_FAILURES) as ParityRoad[]).filter((road) => (asked ?? DEFAULT).includes(road))

const cases = execFileSync('bash', [SUITE, '--list'], { encoding: 'utf8' })
  .split('\n')
  .map((line) => line.split(' | ', 1)[0] ?? '')
  .filter((id) => id !== '')

interface Outcome {
  readonly verdict: string
  readonly reason: string
}

describe.each(roads)('parity on %s', (road) => {
  const outcomes = new Map<string, Outcome>()
  let printed = ''

  const runSuite = async (...only: string[]) => {
    const [kind = '', guest] = road.split(', guest ')
    const args = [kind, ...(guest ? ['--guest', guest] : []), ...only.map((id) => `^${id}$`)]
    const { stdout, stderr } = await run(RUNNER, args, { limit: LIMIT })
    for (const line of stdout.toString().split('\n')) {
      // A reason may hold a carriage return, which `.` is not.
      const [, verdict, id, reason] = /^(PASS|FAIL|SKIP) (\S+) ?(.*)$/s.exec(line) ?? []
      if (verdict && id) outcomes.set(id, { verdict, reason: reason ?? '' })
    }
    return stdout.toString() + stderr.toString()
  }

  beforeAll(async () => {
    printed = await runSuite()
    // Some cases type after a fixed second, and on a busy machine the client is not yet on its terminal by then: what
    // fails is tried once more, alone.
    const again = [...outcomes].filter(
      ([id, { verdict }]) => verdict === 'FAIL' && !(id in KNOWN_FAILURES[road] || id in (UNDECIDED[road] ?? {})),
    )
    if (again.length > 0) await runSuite(...again.map(([id]) => id))
  }, LIMIT)

  test('ran to its end', () => {
    expect(printed).toMatch(/^\d+ passed, \d+ failed, \d+ skipped$/m)
  })

  test.each(cases)('%s', (id) => {
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
  })
})
