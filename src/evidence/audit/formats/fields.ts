/** What of a record the schemas of others have a place for, looked at before it is used. */

/** A record of the trail, of an event or of the trail itself. */
export type RecordFields = Readonly<Record<string, unknown>>

export interface RecordAddress {
  readonly host: string
  readonly port?: number
}

export function stringIn(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}

export function numberIn(value: unknown): number | undefined {
  return typeof value === 'number' ? value : undefined
}

export function objectIn(value: unknown): RecordFields {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? { ...value } : {}
}

/** "192.0.2.7:22", "[2001:db8::1]:22", "db:5432"; undefined: a path. */
export function addressIn(value: unknown): RecordAddress | undefined {
  const text = stringIn(value)
  if (text === undefined || text.startsWith('/')) return undefined
  const [, bracketed, plain = '', digits] = /^(?:\[([^\]]*)\]|([^:]*)):(\d{1,5})$/.exec(text) ?? []
  return digits === undefined ? { host: text } : { host: bracketed ?? plain, port: Number(digits) }
}

/** Without what is undefined, and without objects that would be empty. */
export function having(fields: RecordFields): RecordFields | undefined {
  const there = Object.entries(fields).filter(([, value]) => value !== undefined)
  return there.length > 0 ? Object.fromEntries(there) : undefined
}

/** Each hash that a record has, of what left and of what came. */
export function hashesOf({ sha256Read, sha256Written }: RecordFields): string[] {
  return [sha256Read, sha256Written].flatMap((value) => stringIn(value) ?? [])
}
