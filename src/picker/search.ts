/** The picker for those who see: a list that what is typed narrows. */
import {
  createPrompt,
  isDownKey,
  isEnterKey,
  isTabKey,
  isUpKey,
  useEffect,
  useKeypress,
  useMemo,
  usePagination,
  useState,
} from '@inquirer/core'
import { drawRows } from './columns.ts'
import { matching, type PickerEntry } from './entry.ts'
import type { PromptTerminal } from './terminal.ts'

interface Question {
  readonly message: string
  readonly entries: readonly PickerEntry[]
  readonly terminal: PromptTerminal
  readonly colours: boolean
}

const POINTER = '> '
const MOST_PAGED = 200
const NOTHING: PickerEntry = { ref: '', name: '', compose: '', status: '', image: '', state: '', running: false }

const prompt = createPrompt<PickerEntry, Question>(({ message, entries, terminal, colours }, done) => {
  const [typed, setTyped] = useState('')
  const [active, setActive] = useState(0)
  const [chosen, setChosen] = useState<PickerEntry | undefined>(undefined)
  const [size, setSize] = useState(sizeOf(terminal))
  const [note, setNote] = useState('')
  const found = useMemo(() => matching(entries, typed), [typed])

  useEffect(() => {
    const resized = () => setSize(sizeOf(terminal))
    terminal.output.on('resize', resized)
    return () => void terminal.output.off('resize', resized)
  }, [])

  useKeypress((key, line) => {
    setNote('')
    if (key.name === 'escape') {
      terminal.leave()
    } else if (isEnterKey(key)) {
      const entry = found[active]
      if (entry?.closed !== undefined) {
        setNote(entry.closed)
        line.write(typed)
      } else if (entry) {
        setChosen(entry)
        done(entry)
      } else {
        // readline has emptied its line.
        line.write(typed)
      }
    } else if (isTabKey(key)) {
      line.clearLine(0)
      line.write(typed)
    } else if (isUpKey(key) || isDownKey(key)) {
      if (found.length > 0) setActive((active + (isUpKey(key) ? found.length - 1 : 1)) % found.length)
    } else {
      setTyped(line.line)
      setActive(0)
    }
  })

  const [columns, rows] = size.split(' ').map(Number)
  const width = Math.max(20, (columns ?? 80) - POINTER.length - 1)
  const draw = useMemo(() => drawRows(entries, width), [width])
  const pageSize = Math.max(3, Math.min(15, (rows ?? 24) - 5))
  const from = firstOf(found.length, active, pageSize)
  const shown = found.length > MOST_PAGED ? found.slice(from, from + pageSize) : found
  const page = usePagination({
    items: found.length > 0 ? shown : [NOTHING],
    active: found.length > 0 ? active - from : 0,
    pageSize,
    loop: false,
    renderItem({ item, isActive }) {
      if (item === NOTHING) return '  nothing matches'
      const line = `${isActive ? POINTER : '  '}${draw(item)}`
      if (!colours || !(isActive || item.closed)) return line
      return `${isActive ? '\x1b[1;36m' : '\x1b[2m'}${line}\x1b[0m`
    },
  })
  if (chosen) return `${message} ${chosen.name}`
  const keys = note.slice(0, width) || `${found.length} of ${entries.length}; arrows, Enter, Esc`
  return [`${message}\nsearch: ${typed}`, `${page}\n${colours ? `\x1b[2m${keys}\x1b[0m` : keys}`]
})

/** The library draws every item at each key. Of longer lists it is given the page alone, with the active row in the middle. */
function firstOf(length: number, active: number, pageSize: number): number {
  if (length <= MOST_PAGED) return 0
  return Math.max(0, Math.min(active - (pageSize >> 1), length - pageSize))
}

export function search(question: Question, signal: AbortSignal): Promise<PickerEntry> {
  const { input, output } = question.terminal
  return prompt(question, { input, output, signal })
}

function sizeOf({ output }: PromptTerminal): string {
  return `${output.columns} ${output.rows}`
}
