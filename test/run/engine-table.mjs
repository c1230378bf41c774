/**
 * node test/run/engine-table.mjs FOLDER
 *
 * Writes the tables of docs/engines.md between its two markers, from what the contract and the parity suite found of each
 * engine (test/run/results.ts). FOLDER was HATCHWAY_TEST_RESULTS of the runs.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const DOCS = join(import.meta.dirname, '../../docs/engines.md')
const [BEGIN, END] = ['<!-- written by test/run/engine-table.mjs -->', '<!-- end -->']

const [folder] = process.argv.slice(2)
if (folder === undefined) {
  process.stderr.write('usage: node test/run/engine-table.mjs FOLDER\n')
  process.exit(2)
}

const all = readdirSync(folder)
  .filter((file) => file.endsWith('.json'))
  .map((file) => JSON.parse(readFileSync(join(folder, file), 'utf8')))
  .sort((a, b) => a.on.localeCompare(b.on))
const contracts = all.filter(({ suite }) => suite === 'contract')
const parities = all.filter(({ suite }) => suite === 'parity')
const groups = [...new Set(contracts.flatMap(({ findings }) => findings.map(({ group }) => group)))]

const text = [
  ...table(['driver', 'engine', ...groups], contracts.map(contractRow)),
  '',
  ...contracts.flatMap(reasons),
  '',
  ...table(['parity on', 'passes', 'fails', 'not tried'], parities.map(parityRow)),
  '',
  ...parities.flatMap(reasons),
]

const docs = readFileSync(DOCS, 'utf8')
const [from, to] = [docs.indexOf(BEGIN), docs.indexOf(END)]
if (from < 0 || to < from) throw new Error(`${DOCS} has no place for the tables`)
writeFileSync(DOCS, `${docs.slice(0, from + BEGIN.length)}\n\n${text.join('\n').trim()}\n\n${docs.slice(to)}`)

function contractRow({ on, engine, findings }) {
  return [on, engine ?? '', ...groups.map((group) => share(findings.filter((finding) => finding.group === group)))]
}

function parityRow({ on, findings }) {
  const count = (verdict) => String(findings.filter((finding) => finding.verdict === verdict).length)
  return [on, count('passed'), count('failed'), count('skipped')]
}

function share(findings) {
  const passed = findings.filter(({ verdict }) => verdict === 'passed').length
  return passed === findings.length ? String(passed) : `${passed} of ${findings.length}`
}

/** One line for each reason why something was not tried, or fails. */
function reasons({ on, findings }) {
  const left = findings.filter(({ verdict }) => verdict !== 'passed')
  const byReason = new Map()
  for (const { name, reason = '' } of left) byReason.set(reason, [...(byReason.get(reason) ?? []), name])
  return [...byReason].map(([reason, names]) => `- ${on}: ${names.join(', ')}: ${reason}`)
}

function table(head, rows) {
  return [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`)
}
