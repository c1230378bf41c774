/** "KEY=value" entries by name; the last of a name wins, and what is no such entry is none. */
export function toMap(env: readonly string[]): Map<string, string> {
  const map = new Map<string, string>()
  for (const entry of env) {
    const equals = entry.indexOf('=')
    if (equals > 0) map.set(entry.slice(0, equals), entry.slice(equals + 1))
  }
  return map
}
