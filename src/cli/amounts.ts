/** Bytes, spans and times as tables have them. */

export function bytes(count: number): string {
  const units = ['B', 'K', 'M', 'G', 'T']
  let value = count
  let unit = 0
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024
    unit++
  }
  return unit === 0 ? `${value}B` : `${value.toFixed(value < 10 ? 1 : 0)}${units[unit]}`
}

export function span(milliseconds: number): string {
  const seconds = Math.max(0, Math.floor(milliseconds / 1000))
  if (seconds < 60) return `${seconds}s`
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m${seconds % 60}s`
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)}h${Math.floor((seconds % 3600) / 60)}m`
  return `${Math.floor(seconds / 86_400)}d${Math.floor((seconds % 86_400) / 3600)}h`
}

/** In the time zone of who reads it: "2026-11-30 03:04:05". */
export function when(milliseconds: number): string {
  const date = new Date(milliseconds)
  const two = (value: number) => String(value).padStart(2, '0')
  const day = [date.getFullYear(), two(date.getMonth() + 1), two(date.getDate())].join('-')
  return `${day} ${[date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(':')}`
}

/** Of what since() returns: not cut below it, as half a time is none. */
export const SINCE_WIDTH = 11

/** Short, for a table: "03:04:05" of today, else "11-30 03:04", of another year "2025-11-30". */
export function since(milliseconds: number, now = Date.now()): string {
  const [day = '', time = ''] = when(milliseconds).split(' ')
  const [today = ''] = when(now).split(' ')
  if (day === today) return time
  return day.slice(0, 4) === today.slice(0, 4) ? `${day.slice(5)} ${time.slice(0, 5)}` : day
}
