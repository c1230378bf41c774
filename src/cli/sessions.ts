/** `hatchway sessions`, `kill` and `reload`: the running gateways of this user, and their sessions. */
import { plural } from '../base/plural.ts'
import { ConfigError } from '../config/load.ts'
import type { Config } from '../config/schema.ts'
import { CliFailure } from '../control/cli-failure.ts'
import { allSessions, killSession, reloadGateways } from '../control/client.ts'
import type { ControlReload, ControlStatus, SessionRow } from '../control/protocol.ts'
import { at } from '../observe/log-line.ts'
import { type Column, table, terminalWidth } from './table.ts'

export interface SessionsOptions {
  readonly json: boolean
  /** Also sessions that ended lately. */
  readonly all: boolean
  /** Command text may hold secrets: shown only on request. */
  readonly commands: boolean
}

export async function printSessions(config: Config, options: SessionsOptions): Promise<string> {
  const gateways = await allSessions(config.controlSocket, options.all)
  const rows = gateways.flatMap(({ pid, sessions: list }) =>
    list.map(({ command, ...row }) => ({ gateway: pid, ...row, ...(options.commands && { command }) })),
  )
  rows.sort((a, b) => a.createdAt - b.createdAt)
  if (options.json) return `${JSON.stringify(rows, null, 2)}\n`
  return rows.length === 0 ? 'no sessions\n' : table(COLUMNS, rows, terminalWidth())
}

export async function kill(config: Config, id: string): Promise<string> {
  if (!/^[0-9a-f]{1,32}$/.test(id)) throw new CliFailure(`"${id}" is no session id: \`hatchway sessions\` shows them`)
  const killed = await killSession(config.controlSocket, id)
  if (!killed) throw new CliFailure(`no live session ${id}: \`hatchway sessions\` shows them`)
  return `session ${id} is being ended\n`
}

export async function reload(config: Config): Promise<string> {
  const answers = await reloadGateways(config.controlSocket)
  const problems = answers.flatMap((answer) =>
    answer.problems.length === 0
      ? []
      : [...answer.problems, `${gatewayName(answer)}: the configuration stays as it was; keys were reloaded`],
  )
  if (problems.length > 0) throw new ConfigError(problems)
  return answers.map((answer) => `${gatewayName(answer)}: ${reloadSentence(answer)}\n`).join('')
}

function reloadSentence({ keys, restart, ended }: ControlReload): string {
  const over = ended > 0 ? `, ${plural(ended, 'session or forward', 'sessions and forwards')} ended` : ''
  const later = restart.length > 0 ? `, needs a restart: ${restart.join(', ')}` : ''
  return `reloaded, ${plural(keys, 'key')} may log in${over}${later}`
}

/** Several gateways of a person may run: their pids and addresses tell which one it is. */
function gatewayName({ pid, endpoints }: ControlStatus): string {
  return `gateway ${pid} (${endpoints.map(at).join(', ')})`
}

const COLUMNS: readonly Column<SessionRow>[] = [
  { head: 'ID', cell: (row) => row.id, keep: true },
  { head: 'STATE', cell: (row) => row.state },
  { head: 'WHO', cell: (row) => row.identity.name },
  { head: 'WHERE', cell: (row) => `${row.user}@${row.container.name}` },
  { head: 'WHAT', cell: (row) => (row.start === 'subsystem' ? 'sftp' : row.start) + (row.tty ? ' (tty)' : '') },
  { head: 'FROM', cell: (row) => row.remote.address },
  { head: 'IN', cell: (row) => bytes(row.bytesIn) },
  { head: 'OUT', cell: (row) => bytes(row.bytesOut) },
  { head: 'TIME', cell: (row) => span((row.stoppedAt ?? Date.now()) - row.createdAt) },
  { head: 'END', cell: endCell },
  { head: 'COMMAND', cell: (row) => row.command ?? '' },
]

function endCell({ end }: SessionRow): string {
  if (end === undefined) return ''
  if ('code' in end) return `exit ${end.code}`
  if ('signal' in end) return `signal ${end.signal}`
  return end.failure
}

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
