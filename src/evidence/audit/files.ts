/** The files of a trail: the one that is written, and those that were full, "audit.jsonl.000001" on. */
import { readdir } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { isErrno } from '../../base/errors.ts'

const DIGITS = 6

export interface RotatedFile {
  readonly path: string
  readonly number: number
}

export function rotatedName(file: string, number: number): string {
  return `${file}.${String(number).padStart(DIGITS, '0')}`
}

/** The latest signed head of a file, and its signature: for `ssh-keygen -Y verify -s FILE.head.sig <FILE.head`. */
export function headName(file: string): string {
  return `${file}.head`
}

export function signatureName(file: string): string {
  return `${file}.head.sig`
}

/** Gateways that are told of one file at the same time, as `hatchway stdio` beside `serve`, write a trail each. */
export const MAX_TRAILS = 64

/** @param place from 1 on */
export function trailName(file: string, place: number): string {
  return place === 1 ? file : `${file}-${place}`
}

/** Of all trails of that name that there are; the first one also where it is not there. */
export async function trailNames(file: string): Promise<string[]> {
  const names = new Set(await readdir(dirname(file)).catch(() => []))
  const isThere = (path: string) =>
    [...names].some((name) => name === basename(path) || name.startsWith(`${basename(path)}.0`))
  const others = Array.from({ length: MAX_TRAILS - 1 }, (_, index) => trailName(file, index + 2))
  return [file, ...others.filter(isThere)]
}

/** Oldest first. */
export async function rotatedFiles(file: string): Promise<RotatedFile[]> {
  const folder = dirname(file)
  const name = `${basename(file)}.`
  const names = await readdir(folder).catch((error: unknown) => {
    if (isErrno(error, 'ENOENT')) return []
    throw error
  })
  return names
    .flatMap((found) => {
      const digits = found.startsWith(name) ? found.slice(name.length) : ''
      return /^\d{6,12}$/.test(digits) ? [{ path: join(folder, found), number: Number(digits) }] : []
    })
    .sort((one, other) => one.number - other.number)
}
