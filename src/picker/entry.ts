/** What can be picked: containers and templates that an identity may enter, as rows for a person. Pure. */

import { printable } from '../base/printable.ts'
import { nearestNames } from '../container/find.ts'
import type { ContainerSummary } from '../engine/engine.ts'

/** Texts of container and image are hostile: escaped here, once. */
export interface PickerEntry {
  /** As one would have named it in the login. */
  readonly ref: string
  readonly name: string
  /** "Up 3 minutes", "Exited (0) 2 hours ago". */
  readonly status: string
  readonly image: string
  readonly running: boolean
}

export function containerEntry({ name, image, state, status }: ContainerSummary): PickerEntry {
  return {
    ref: name,
    name: printable(name),
    status: printable(status || state),
    image: printable(image),
    running: state === 'running',
  }
}

export function templateEntry(name: string, kind: 'fresh' | 'personal', image: string): PickerEntry {
  const ref = `${kind === 'fresh' ? '+' : '~'}${name}`
  const status = kind === 'fresh' ? 'made for this connection' : 'your own, kept'
  return { ref, name: ref, status, image: printable(image), running: false }
}

/** Those that the word may have meant first, then what runs, then by name; what is yet to be made comes last. */
export function sorted(entries: readonly PickerEntry[], word: string | undefined): PickerEntry[] {
  const meant =
    word === undefined
      ? []
      : nearestNames(
          word,
          entries.map((entry) => entry.ref),
        )
  const rank = ({ ref, running }: PickerEntry) =>
    meant.includes(ref) ? meant.indexOf(ref) - meant.length : /^[+~]/.test(ref) ? 2 : running ? 0 : 1
  return [...entries].sort((a, b) => rank(a) - rank(b) || a.name.localeCompare(b.name))
}

/** Every word typed is somewhere in the row. */
export function matching(entries: readonly PickerEntry[], typed: string): PickerEntry[] {
  const words = typed.toLowerCase().split(/\s+/).filter(Boolean)
  const text = ({ name, status, image }: PickerEntry) => `${name} ${status} ${image}`.toLowerCase()
  return entries.filter((entry) => words.every((word) => text(entry).includes(word)))
}

/** Below this an image's name has no room beside name and state. */
const WIDE = 60

/** Cut and filled to `width`, the image left out where there is no room. */
export function row(entry: PickerEntry, width: number): string {
  if (width < WIDE) {
    const status = Math.min(14, Math.floor(width / 3))
    return `${cell(entry.name, width - status - 1)} ${cell(entry.status, status)}`.trimEnd()
  }
  const status = Math.min(24, Math.floor(width / 4))
  const image = Math.floor(width / 3)
  return `${cell(entry.name, width - status - image - 2)} ${cell(entry.status, status)} ${cell(entry.image, image)}`.trimEnd()
}

function cell(text: string, width: number): string {
  return text.length > width ? `${text.slice(0, Math.max(0, width - 2))}..` : text.padEnd(width)
}
