/** `hatchway sessions` and `reload`: the running gateways of this user, and their sessions. */

import { plural } from '../base/plural.ts'
import { ConfigError } from '../config/load.ts'
import type { Config } from '../config/schema.ts'
import { CliFailure } from '../control/cli-failure.ts'
import { allSessions, reloadGateways } from '../control/client.ts'
import type { ControlReload, SessionRow } from '../control/protocol.ts'
import { fullName } from '../engine/ref.ts'
import { bytes, span, when } from './amounts.ts'
import { gatewayColumns, gatewayName, noneOf } from './gateway-name.ts'
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
  return rows.length === 0
    ? noneOf('sessions', gateways)
    : table([...COLUMNS, ...(options.all ? TIMES : []), ...gatewayColumns(gateways)], rows, terminalWidth())
}

/** @throws ConfigError with what is wrong with the configuration, CliFailure where one did not answer: it goes on as before */
export async function reload(config: Config, print: (text: string) => void): Promise<void> {
  const silent: string[] = []
  const answers = await reloadGateways(config.controlSocket, (sentence) => silent.push(sentence))
  const problems = answers.flatMap((answer) =>
    answer.problems.length === 0
      ? []
      : [...answer.problems, `${gatewayName(answer)}: the configuration stays as it was; keys were reloaded`],
  )
  if (problems.length > 0) throw new ConfigError([...problems, ...silent])
  for (const answer of answers) print(`${gatewayName(answer)}: ${reloadSentence(answer)}\n`)
  if (silent.length > 0) throw new CliFailure(silent.join('; '))
}

function reloadSentence({ keys, restart, ended }: ControlReload): string {
  const over = ended > 0 ? `, ${plural(ended, 'session or forward', 'sessions and forwards')} ended` : ''
  const later = restart.length > 0 ? `, needs a restart: ${restart.join(', ')}` : ''
  return `reloaded, ${plural(keys, 'key')} may log in${over}${later}`
}

const COLUMNS: readonly Column<SessionRow>[] = [
  { head: 'ID', cell: (row) => row.id, keep: true },
  { head: 'STATE', cell: (row) => row.state },
  { head: 'WHO', cell: (row) => row.identity.name },
  { head: 'WHERE', cell: (row) => `${row.user}@${fullName(row.container)}` },
  { head: 'WHAT', cell: (row) => (row.start === 'subsystem' ? 'sftp' : row.start) + (row.tty ? ' (tty)' : '') },
  { head: 'FROM', cell: (row) => row.remote.address },
  { head: 'IN', cell: (row) => bytes(row.bytesIn) },
  { head: 'OUT', cell: (row) => bytes(row.bytesOut) },
  { head: 'TIME', cell: (row) => span((row.stoppedAt ?? Date.now()) - row.createdAt) },
  { head: 'IDLE', cell: idleCell },
  { head: 'END', cell: endCell },
  { head: 'COMMAND', cell: (row) => row.command ?? '' },
]

/** With those that ended, when is what tells them apart. */
const TIMES: readonly Column<SessionRow>[] = [
  { head: 'STARTED', cell: (row) => when(row.createdAt) },
  { head: 'ENDED', cell: (row) => (row.stoppedAt === undefined ? '' : when(row.stoppedAt)) },
]

function idleCell({ stoppedAt, activeAt }: SessionRow): string {
  return stoppedAt !== undefined || activeAt === undefined ? '' : span(Date.now() - activeAt)
}

function endCell({ end }: SessionRow): string {
  if (end === undefined) return ''
  if ('code' in end) return `exit ${end.code}`
  if ('signal' in end) return `signal ${end.signal}`
  return end.failure
}
