/** Numbers of things, as a person reads them. */

/** Returns "1 key", "2 keys", "0 keys". */
export function plural(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`
}
