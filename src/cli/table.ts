/** Plain tables: no lines, cut to the terminal's width; not cut where the output goes to a file or another program. */
import Table from 'cli-table3'
import { printable } from '../base/printable.ts'

const GAP = 2
const MIN_WIDTH = 6
const NO_LINES = {
  top: '',
  'top-mid': '',
  'top-left': '',
  'top-right': '',
  bottom: '',
  'bottom-mid': '',
  'bottom-left': '',
  'bottom-right': '',
  left: '',
  'left-mid': '',
  mid: '',
  'mid-mid': '',
  right: '',
  'right-mid': '',
  middle: ' '.repeat(GAP),
}

export interface Column<Row> {
  readonly head: string
  readonly cell: (row: Row) => string
  /** Not cut while another column can be: a name or id that is cut cannot be typed. */
  readonly keep?: boolean
}

/** Leaves out empty columns. If `width` is undefined nothing is cut. */
export function table<Row>(columns: readonly Column<Row>[], rows: readonly Row[], width: number | undefined): string {
  const cells = rows.map((row) => columns.map((column) => printable(column.cell(row))))
  const used = columns.map((_, index) => cells.some((row) => row[index] !== ''))
  const shown = columns.filter((_, index) => used[index])
  const heads = shown.map((column) => column.head)
  const body = cells.map((row) => row.filter((_, index) => used[index]))
  const wanted = heads.map((head, index) => Math.max(head.length, ...body.map((row) => (row[index] ?? '').length)))
  const drawn = new Table({
    head: heads,
    chars: NO_LINES,
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0, compact: true },
    ...(width !== undefined && {
      colWidths: columnWidths(
        wanted,
        shown.map((column) => column.keep === true),
        width,
      ),
      wordWrap: false,
      truncate: '…',
    }),
  })
  drawn.push(...body)
  return drawn
    .toString()
    .split('\n')
    .map((line) => `${line.trimEnd()}\n`)
    .join('')
}

/** Narrows the widest columns first, and those to keep last. */
function columnWidths(wanted: readonly number[], keep: readonly boolean[], width: number): number[] {
  const widths = [...wanted]
  const total = () => widths.reduce((sum, each) => sum + each, 0) + GAP * (widths.length - 1)
  const widest = (kept: boolean) => Math.max(0, ...widths.filter((_, index) => keep[index] === kept))
  while (total() > width) {
    const kept = widest(false) <= MIN_WIDTH
    if (widest(kept) <= MIN_WIDTH) break
    const index = widths.findIndex((each, at) => keep[at] === kept && each === widest(kept))
    widths[index] = widest(kept) - 1
  }
  return widths
}

export function terminalWidth(): number | undefined {
  return process.stdout.isTTY ? process.stdout.columns : undefined
}
