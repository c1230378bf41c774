/** The picker's rows: columns as wide as what they hold, narrowed where the terminal is not. Pure. */
import type { PickerEntry } from './entry.ts'

interface PickerColumn {
  readonly text: (entry: PickerEntry) => string
  /** Characters below which it is of no use. */
  readonly least: number
  /** Only where there are WIDE columns. */
  readonly wide: boolean
}

const GAP = 2
/** Below this an image's name has no room beside name and state. */
const WIDE = 60

const NAME: PickerColumn = { text: ({ name }) => name, least: 8, wide: false }
const COMPOSE: PickerColumn = { text: ({ compose }) => compose, least: 8, wide: true }
const STATUS: PickerColumn = { text: ({ status }) => status, least: 8, wide: false }
const IMAGE: PickerColumn = { text: ({ image }) => image, least: 12, wide: true }
const IN_ORDER = [NAME, COMPOSE, STATUS, IMAGE]
/** A name that is cut cannot be typed: it is cut last. */
const CUT_FIRST = [IMAGE, COMPOSE, STATUS, NAME]

/** Returns how each of the entries is drawn: never wider than `width`, all under one another. */
export function drawRows(entries: readonly PickerEntry[], width: number): (entry: PickerEntry) => string {
  const widths = new Map<PickerColumn, number>()
  for (const column of IN_ORDER) {
    const longest = entries.reduce((most, entry) => Math.max(most, column.text(entry).length), 0)
    if (longest > 0 && (!column.wide || width >= WIDE)) widths.set(column, longest)
  }
  let excess = [...widths.values()].reduce((sum, each) => sum + each + GAP, -GAP) - width
  for (const column of CUT_FIRST) {
    const has = widths.get(column)
    if (has === undefined || excess <= 0) continue
    const cut = Math.min(excess, Math.max(0, has - column.least))
    widths.set(column, has - cut)
    excess -= cut
  }
  return (entry) =>
    [...widths]
      .map(([{ text }, most]) => cell(text(entry), most))
      .join(' '.repeat(GAP))
      .trimEnd()
}

function cell(text: string, width: number): string {
  return text.length > width ? `${text.slice(0, Math.max(0, width - 2))}..` : text.padEnd(width)
}
