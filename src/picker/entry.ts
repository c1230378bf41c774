/** What can be picked: containers and templates that an identity may enter, as rows for a person. Pure. */

import { printable } from '../base/printable.ts'
import { nearestNames } from '../container/find.ts'
import { composeName } from '../container/names.ts'
import type { ContainerSummary } from '../engine/engine.ts'
import { fullName } from '../engine/ref.ts'

/** Texts of container, compose and image are hostile: escaped here, once. */
export interface PickerEntry {
  /** As one would have named it in the login. */
  readonly ref: string
  readonly name: string
  /** "web.shop"; "": not made by compose. */
  readonly compose: string
  /** "Up 3 minutes", "Exited (0) 2 hours ago". */
  readonly status: string
  readonly image: string
  /** "running", "exited", ...; "template": it is yet to be made. */
  readonly state: string
  readonly running: boolean
  /** Why it cannot be chosen; undefined: it can. */
  readonly closed?: string
}

/** What is searched in, in small letters: kept, as each key asks for all of it again. */
const texts = new WeakMap<PickerEntry, string>()

/** @param mayStart whether it would be started for them if it does not run */
export function containerEntry(container: ContainerSummary, mayStart: boolean): PickerEntry {
  const { image, state } = container
  const running = state === 'running'
  const status = printable(container.status || state)
  const ref = fullName(container)
  const common = { ref, name: printable(ref), compose: printable(composeName(container) ?? '') }
  const row = { ...common, image: printable(image), state: printable(state), running }
  if (running || mayStart) return findable({ ...row, status })
  return findable({
    ...row,
    status: `not to be started: ${status}`,
    closed: `${row.name} does not run, and is not started for you`,
  })
}

/** What is searched in is made with the row, so that the first key does not wait for that of all rows. */
function findable(entry: PickerEntry): PickerEntry {
  textOf(entry)
  return entry
}

export function templateEntry(name: string, kind: 'fresh' | 'personal', image: string): PickerEntry {
  const ref = `${kind === 'fresh' ? '+' : '~'}${name}`
  const status = kind === 'fresh' ? 'made for this connection' : 'your own, kept'
  return { ref, name: ref, compose: '', status, image: printable(image), state: 'template', running: false }
}

/**
 * Those that the word may have meant first, then what runs, then by name; then what is yet to be made, and last what cannot
 * be chosen.
 */
export function sorted(entries: readonly PickerEntry[], word: string | undefined): PickerEntry[] {
  const meant =
    word === undefined
      ? []
      : nearestNames(
          word,
          entries.map((entry) => entry.ref),
        )
  const rank = ({ ref, running, closed }: PickerEntry) =>
    meant.includes(ref)
      ? meant.indexOf(ref) - meant.length
      : closed !== undefined
        ? 3
        : /^[+~]/.test(ref)
          ? 2
          : running
            ? 0
            : 1
  return entries
    .map((entry) => ({ entry, rank: rank(entry) }))
    .sort((a, b) => a.rank - b.rank || compareNames(a.entry.name, b.entry.name))
    .map(({ entry }) => entry)
}

const { compare: compareNames } = new Intl.Collator()

/** Every word typed is somewhere in the row. */
export function matching(entries: readonly PickerEntry[], typed: string): PickerEntry[] {
  const words = typed.toLowerCase().split(/\s+/).filter(Boolean)
  if (words.length === 0) return [...entries]
  return entries.filter((entry) => words.every((word) => textOf(entry).includes(word)))
}

function textOf(entry: PickerEntry): string {
  const known = texts.get(entry)
  if (known !== undefined) return known
  const { name, compose, status, image } = entry
  const text = `${name} ${compose} ${status} ${image}`.toLowerCase()
  texts.set(entry, text)
  return text
}
