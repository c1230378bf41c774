/** `when` of a rule: days and hours as the clock on the wall of a time zone shows them, summer time and all. */
import type { Window } from '../config/rule-values.ts'

export type Hours = (now: Date) => boolean

const DAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat']

/** Formatters are dear to make (a millisecond) and cheap to use. */
export function compileHours({ days, from, to, timeZone }: Window): Hours {
  const clock = new Intl.DateTimeFormat('en-US', {
    weekday: 'short',
    hour: '2-digit',
    minute: '2-digit',
    hourCycle: 'h23',
    ...(timeZone !== undefined && { timeZone }),
  })
  return (now) => {
    const parts = new Map(clock.formatToParts(now).map(({ type, value }) => [type, value]))
    const day = DAYS.indexOf(parts.get('weekday') ?? '')
    const minute = Number(parts.get('hour')) * 60 + Number(parts.get('minute'))
    if (from < to) return days[day] === true && minute >= from && minute < to
    // Past midnight: the hours belong to the day they began on.
    return (days[day] === true && minute >= from) || (days[(day + 6) % 7] === true && minute < to)
  }
}
