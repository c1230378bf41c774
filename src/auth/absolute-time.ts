/** expiry-time= of authorized_keys(5): YYYYMMDD[HHMM[SS]][Z], local time without the Z (misc.c, parse_absolute_time). */
const FORMAT = /^(\d{4})(\d\d)(\d\d)(?:(\d\d)(\d\d)(\d\d)?)?(Z|UTC)?$/i

/** Returns milliseconds since the epoch, or undefined. A 31st of February is the 3rd of March, as with mktime(3). */
export function parseAbsoluteTime(text: string): number | undefined {
  const match = FORMAT.exec(text)
  if (!match) return undefined
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = match
    .slice(1, 7)
    .map((part) => Number(part ?? 0))
  if (year < 1970 || month < 1 || month > 12 || day < 1 || day > 31) return undefined
  if (hour > 23 || minute > 59 || second > 60) return undefined
  const time = match[7]
    ? Date.UTC(year, month - 1, day, hour, minute, second)
    : new Date(year, month - 1, day, hour, minute, second).getTime()
  return time > 0 ? time : undefined
}
