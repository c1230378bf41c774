/** packaging/prometheus and packaging/grafana against the code, and against Prometheus' own checks. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { parse, stringify } from 'yaml'
import { z } from 'zod'
import '../../src/ssh/ssh2.ts'
import { PACKAGE_ROOT } from '../../src/base/package-root.ts'
import { createMeters } from '../../src/observe/metrics/meters.ts'
import { openMetrics } from '../../src/observe/metrics/metrics.ts'
import { run } from '../support/run.ts'

const NO_PROMTOOL = (await run('sh', ['-c', 'command -v promtool'])).code !== 0
if (NO_PROMTOOL) console.warn('half of test/packaging/prometheus.test.ts is skipped: there is no promtool')

const RULES = join(PACKAGE_ROOT, 'packaging/prometheus/hatchway.rules.yml')
const CASES = join(PACKAGE_ROOT, 'test/packaging/prometheus/hatchway.rules.test.yml')
const DASHBOARD = join(PACKAGE_ROOT, 'packaging/grafana/hatchway.json')

const rulesFile = z.object({
  groups: z.array(
    z.object({
      rules: z.array(
        z.strictObject({
          alert: z.string().regex(/^Hatchway[A-Za-z]+$/),
          expr: z.string(),
          for: z.string().optional(),
          labels: z.strictObject({ severity: z.enum(['page', 'ticket']) }),
          annotations: z.strictObject({ summary: z.string(), runbook: z.string().min(40) }),
        }),
      ),
    }),
  ),
})
const target = z.object({ refId: z.string(), expr: z.string(), legendFormat: z.string() })
const panel = z.object({
  id: z.number(),
  title: z.string(),
  type: z.enum(['row', 'stat', 'timeseries']),
  description: z.string().optional(),
  gridPos: z.object({ h: z.number(), w: z.number(), x: z.number(), y: z.number() }),
  targets: z.array(target).optional(),
})
const dashboardFile = z.object({ title: z.string(), uid: z.string(), panels: z.array(panel) })

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'hw-test-prometheus-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

const alerts = async () => rulesFile.parse(parse(await readFile(RULES, 'utf8'))).groups.flatMap(({ rules }) => rules)
const dashboard = async () => dashboardFile.parse(JSON.parse(await readFile(DASHBOARD, 'utf8')))

/** Names of metrics in an expression that are neither ours nor Prometheus' own. */
function unknownIn(expr: string): string[] {
  const known = new Map(
    (createMeters().registry.getMetricsAsArray() as unknown as { name: string; type: string }[]).map(
      ({ name, type }) => [name, type] as const,
    ),
  )
  const names = expr.match(/\b(?:hatchway|process|nodejs)_\w+|\bup\b/g) ?? []
  return names.filter((name) => {
    if (name === 'up' || known.get(name) === 'gauge' || known.get(name) === 'counter') return false
    return known.get(name.replace(/_(bucket|sum|count)$/, '')) !== 'histogram'
  })
}

test('every alert has metrics that there are, says whom to wake and what to do', async () => {
  const all = await alerts()
  expect(new Set(all.map(({ alert }) => alert)).size).toBe(all.length)
  for (const { alert, expr } of all) expect([alert, unknownIn(expr)]).toEqual([alert, []])
})

test('every alert has a case that raises it', async () => {
  const cases = await readFile(CASES, 'utf8')
  const raised = [...cases.matchAll(/alertname="(\w+)"/g)].map(([, name]) => name)
  expect(raised.sort()).toEqual((await alerts()).map(({ alert }) => alert).sort())
})

test('every panel of the dashboard has metrics that there are, a place of its own, and says what it shows', async () => {
  const { panels } = await dashboard()
  expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length)
  for (const { title, type, description, targets = [] } of panels) {
    if (type === 'row') continue
    expect([title, targets.length > 0, (description ?? '').length > 10]).toEqual([title, true, true])
    for (const { expr } of targets) expect([title, unknownIn(expr)]).toEqual([title, []])
  }
  const cells = panels.flatMap(({ gridPos: { x, y, w, h } }) =>
    Array.from({ length: w * h }, (_, i) => `${x + (i % w)} ${y + Math.floor(i / w)}`),
  )
  expect(new Set(cells).size).toBe(cells.length)
  expect(Math.max(...panels.map(({ gridPos: { x, w } }) => x + w))).toBe(24)
})

describe.skipIf(NO_PROMTOOL)('promtool', () => {
  test('check metrics has nothing to say of what a gateway serves', async () => {
    const metrics = await openMetrics()
    const { body } = await metrics.scrape('')
    metrics.close()
    expect(await run('promtool', ['check', 'metrics'], { input: body })).toMatchObject({ code: 0 })
  })

  test('check rules and test rules pass', async () => {
    const checked = await run('promtool', ['check', 'rules', '--lint-fatal', RULES])
    expect([checked.code, checked.stderr.toString()]).toEqual([0, ''])
    const cases = join(folder, 'cases.yml')
    await writeFile(cases, (await readFile(CASES, 'utf8')).replace('[RULES]', `[${RULES}]`))
    const tested = await run('promtool', ['test', 'rules', cases])
    expect([tested.code, tested.stderr.toString()]).toEqual([0, ''])
  })

  test('the expressions of the dashboard are Prometheus’ own', async () => {
    const { panels } = await dashboard()
    const rules = panels.flatMap(({ id, targets = [] }) =>
      targets.map(({ refId, expr }) => ({
        record: `panel:${id}:${refId}`,
        expr: expr.replaceAll('$__rate_interval', '5m'),
      })),
    )
    expect(rules.length).toBeGreaterThan(20)
    const file = join(folder, 'panels.yml')
    await writeFile(file, stringify({ groups: [{ name: 'panels', rules }] }))
    const checked = await run('promtool', ['check', 'rules', file])
    expect([checked.code, checked.stderr.toString()]).toEqual([0, ''])
  })
})
