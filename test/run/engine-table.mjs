/**
 * node test/run/engine-table.mjs FOLDER
 *
 * Writes the tables of docs/engines.md between its two markers, from what the contract and the parity suite found of each
 * engine (test/run/results.ts). FOLDER was HATCHWAY_TEST_RESULTS of the runs. Of engines that it knows nothing of, what the
 * page says already stays: no one run has all of them.
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

const docs = readFileSync(DOCS, 'utf8')
const [from, to] = [docs.indexOf(BEGIN), docs.indexOf(END)]
if (from < 0 || to < from) throw new Error(`${DOCS} has no place for the tables`)
const before = docs.slice(from, to).split('\n')
const parityHead = ['parity on', 'passes', 'fails', 'not tried']
const text = [
  ...tableOf(['driver', 'engine', ...(groups.length > 0 ? groups : groupsBefore())], contracts, contractRow),
  '',
  ...tableOf(parityHead, parities, parityRow),
]
writeFileSync(DOCS, `${docs.slice(0, from + BEGIN.length)}\n\n${text.join('\n').trim()}\n\n${docs.slice(to)}`)

/** A table and its reasons, in the order of the rows' names. */
function tableOf(head, found, toRow) {
  const rows = new Map(rowsBefore(head))
  for (const one of found) rows.set(one.on, { cells: toRow(one), reasons: reasons(one) })
  const all = [...rows].sort(([a], [b]) => a.localeCompare(b)).map(([, row]) => row)
  return [
    ...table(
      head,
      all.map(({ cells }) => cells),
    ),
    '',
    ...all.flatMap((row) => row.reasons),
  ]
}

function rowsBefore([first]) {
  const start = before.findIndex((line) => line.startsWith(`| ${first} |`))
  if (start < 0) return []
  const rest = before.slice(start + 2)
  const length = rest.findIndex((line) => !line.startsWith('|'))
  const names = rest.slice(0, length).map((line) => cellsOf(line)[0])
  const after = rest.slice(length)
  const end = after.findIndex((line) => line.startsWith('|'))
  const lines = after.slice(0, end < 0 ? undefined : end).filter((line) => line.startsWith('- '))
  // The longest name first: one may be the beginning of another.
  const owner = (line) => names.toSorted((a, b) => b.length - a.length).find((name) => line.startsWith(`- ${name}: `))
  return rest.slice(0, length).map((line) => {
    const cells = cellsOf(line)
    return [cells[0], { cells, reasons: lines.filter((one) => owner(one) === cells[0]) }]
  })
}

function groupsBefore() {
  return cellsOf(before.find((line) => line.startsWith('| driver |')) ?? '').slice(2)
}

function cellsOf(line) {
  return line
    .split('|')
    .slice(1, -1)
    .map((cell) => cell.trim())
}

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
