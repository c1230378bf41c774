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
  /** Characters below which it is of no use: where they are not to be had it is left out, the last column first. */
  readonly least?: number
}

/** As table(), but no column is left out: those that do not fit follow in a block below, behind `first` again. */
export function tableInBlocks<Row>(
  first: readonly Column<Row>[],
  others: readonly Column<Row>[],
  rows: readonly Row[],
  width: number | undefined,
): string {
  const fits = (columns: readonly Column<Row>[]) => {
    const filled = measured(columns, rows)
    return width === undefined || fitting(filled, width).length === filled.length
  }
  const blocks: Column<Row>[][] = []
  for (const column of others) {
    const block = blocks.at(-1)
    if (block && fits([...first, ...block, column])) block.push(column)
    else blocks.push([column])
  }
  // Nothing is cut in a terminal that is too narrow for one column: it breaks the lines.
  const drawn = (columns: readonly Column<Row>[]) => table(columns, rows, fits(columns) ? width : undefined)
  return blocks.map((block) => drawn([...first, ...block])).join('\n')
}

/** Leaves out empty columns. No line is wider than `width`; undefined: nothing is cut. */
export function table<Row>(columns: readonly Column<Row>[], rows: readonly Row[], width: number | undefined): string {
  const filled = measured(columns, rows)
  const shown = width === undefined ? filled : fitting(filled, width)
  const heads = shown.map(({ column }) => column.head)
  const body = rows.map((_, row) => shown.map(({ texts }) => texts[row] ?? ''))
  const drawn = new Table({
    head: heads,
    chars: NO_LINES,
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': 0, compact: true },
    ...(width !== undefined && {
      colWidths: columnWidths(shown, width),
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

function measured<Row>(columns: readonly Column<Row>[], rows: readonly Row[]) {
  const cells = rows.map((row) => columns.map((column) => printable(column.cell(row))))
  const used = columns.map((_, index) => cells.some((row) => row[index] !== ''))
  return columns.flatMap((column, index) => {
    if (!used[index]) return []
    const texts = cells.map((row) => row[index] ?? '')
    return [{ column, texts, wanted: texts.reduce((most, { length }) => Math.max(most, length), column.head.length) }]
  })
}

interface Sized {
  readonly column: Pick<Column<never>, 'keep' | 'least'>
  /** Characters of its longest cell, or of its head. */
  readonly wanted: number
}

const leastOf = ({ column, wanted }: Sized) => Math.min(wanted, column.least ?? MIN_WIDTH)

/** Leaves out columns from the right until each of the others can have what it needs at least. */
function fitting<S extends Sized>(columns: readonly S[], width: number): S[] {
  const shown = [...columns]
  // Rather a column less than a name that cannot be typed, but for a very long one.
  const need = (sized: S) => (sized.column.keep ? Math.min(sized.wanted, Math.floor(width / 2)) : leastOf(sized))
  const needed = () => shown.reduce((sum, sized) => sum + need(sized) + GAP, -GAP)
  while (shown.length > 1 && needed() > width) shown.pop()
  return shown
}

/** Narrows the widest columns first, and those to keep last. */
function columnWidths(columns: readonly Sized[], width: number): number[] {
  const widths = columns.map(({ wanted }) => wanted)
  let excess = widths.reduce((sum, each) => sum + each + GAP, -GAP) - width
  for (const kept of [false, true]) {
    const narrow = () =>
      columns.reduce<number | undefined>((best, sized, index) => {
        const has = widths[index] ?? 0
        if ((sized.column.keep === true) !== kept || has <= leastOf(sized)) return best
        return best === undefined || has > (widths[best] ?? 0) ? index : best
      }, undefined)
    for (let index = narrow(); excess > 0 && index !== undefined; index = narrow()) {
      widths[index] = (widths[index] ?? 0) - 1
      excess--
    }
  }
  return widths
}

export function terminalWidth(): number | undefined {
  return process.stdout.isTTY ? process.stdout.columns : undefined
}
