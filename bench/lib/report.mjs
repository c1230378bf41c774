// Samples become figures, ratios and goals; as data for --json and as one table to read.
import { median, pairedRatio, percentile } from './stats.mjs'

/** Per figure and target: the figure, its spread, its ratio to the references, and how it stands to its goals. */
export function summarize({ row, entries }) {
  if (entries.every((entry) => entry.samples.length === 0 && !entry.skipped)) return []
  return row.figures.map((figure, index) => {
    const columns = figure.columns ?? ['exec', 'sshd']
    const lines = entries.map((entry) => summarizeEntry(figure, columns, entry, entries, index === 0))
    return { row: row.key, figure: figure.id ?? figure.key, title: figure.title, unit: figure.unit, columns, lines }
  })
}

function summarizeEntry(figure, columns, entry, entries, first) {
  const { target, skipped, failed } = entry
  const values = valuesOf(figure, entry)
  const flat = values.flat().filter((value) => value !== undefined)
  const line = { target: target.key, name: target.name, n: values.filter((value) => value !== undefined).length }
  // Why there is nothing is told once a row; a figure that this target has not is left out.
  if (flat.length === 0) return { ...line, skipped: first ? (skipped ?? failed ?? 'no time was left') : undefined }
  const toOther = (key) => {
    const other = entries.find((one) => one.target.key === key)
    return other && other !== entry ? ratio(figure, values, valuesOf(figure, other)) : undefined
  }
  const ratios = Object.fromEntries(columns.map((key) => [key, toOther(key)]))
  const goals = figure.goals
    .filter((goal) => goal.target === target.key)
    .map((goal) => judge(goal, goal.against ? toOther(goal.against) : statistic(figure, flat)))
  return {
    ...line,
    value: statistic(figure, flat),
    low: percentile(flat, 25),
    high: percentile(flat, 75),
    ratios,
    goals,
    note: first ? [entry.note, skipped ?? failed].filter(Boolean).join('; ') : '',
    values,
  }
}

function valuesOf(figure, entry) {
  return Array.from(entry.samples, (sample) => sample?.[figure.key])
}

function statistic(figure, flat) {
  if (figure.mean) return flat.reduce((sum, value) => sum + value, 0) / flat.length
  return figure.percentile ? percentile(flat, figure.percentile) : median(flat)
}

function ratio(figure, values, reference) {
  if (!figure.percentile && !figure.mean) return pairedRatio(values, reference)
  const [ours, theirs] = [values, reference].map((all) => all.flat().filter((value) => value !== undefined))
  return theirs.length === 0 ? undefined : statistic(figure, ours) / statistic(figure, theirs)
}

function judge(goal, reached) {
  const met = reached === undefined ? undefined : goal.most === undefined ? reached >= goal.least : reached <= goal.most
  return { ...goal, reached, met }
}

const NAMES = { exec: 'exec', api: 'API exec', sshd: 'sshd', docker: 'no guest' }

/** `sections`: all that summarize() answered. */
export function table(sections) {
  const rows = [['', 'median', 'p25 .. p75', 'n', 'x exec', 'x sshd', 'goals (reached or NOT)', '']]
  for (const section of sections) {
    const lines = section.lines.filter((line) => line.value !== undefined || line.skipped)
    if (lines.length === 0) continue
    const where = section.columns.includes('api') ? '   (x exec: of the API exec)' : ''
    rows.push([`${section.title}, ${section.unit}${where}`])
    for (const line of lines) rows.push(cells(line, section.columns))
  }
  return align(rows)
}

function cells(line, [exec, sshd]) {
  if (line.value === undefined) return [`  ${line.name}`, '-', '', '', '', '', '', line.skipped]
  return [
    `  ${line.name}`,
    number(line.value),
    `${number(line.low)} .. ${number(line.high)}`,
    String(line.n),
    times(line.ratios[exec]),
    times(line.ratios[sshd]),
    line.goals.map(goalText).join(', '),
    line.note,
  ]
}

function goalText({ against, most, least, from, reached, met }) {
  const bound = most === undefined ? `>= ${least}` : `<= ${most}`
  const what = against ? `${bound} x ${NAMES[against]}` : bound
  const state = met === undefined ? 'not measured' : met ? 'ok' : 'NOT'
  // A ratio that has no column of its own is told here.
  return `${what} ${state}${against === 'docker' && reached !== undefined ? ` (${times(reached)})` : ''} [${from}]`
}

function align(rows) {
  const full = rows.filter((row) => row.length > 1)
  const widths = full[0].map((_, column) => Math.max(...full.map((row) => row[column].length)))
  return rows
    .map((row) => {
      if (row.length === 1) return `\n${row[0]}`
      return row
        .map((cell, column) =>
          column >= 1 && column <= 5 ? cell.padStart(widths[column]) : cell.padEnd(widths[column]),
        )
        .join('  ')
        .trimEnd()
    })
    .join('\n')
}

export function number(value) {
  const size = Math.abs(value)
  return value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : 2)
}

function times(value) {
  return value === undefined ? '' : value.toFixed(2)
}
