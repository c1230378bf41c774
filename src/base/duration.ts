/** Times for people: "15 minutes", "1 hour 30 minutes". */
import { plural } from './plural.ts'

const UNITS = [
  ['day', 86_400_000],
  ['hour', 3_600_000],
  ['minute', 60_000],
  ['second', 1_000],
] as const

export function inWords(milliseconds: number): string {
  if (milliseconds < 1_000) return `${Math.round(milliseconds)} milliseconds`
  let left = milliseconds
  const words: string[] = []
  for (const [name, size] of UNITS) {
    const count = Math.floor(left / size)
    left -= count * size
    if (count > 0) words.push(plural(count, name))
  }
  return words.slice(0, 2).join(' ')
}
