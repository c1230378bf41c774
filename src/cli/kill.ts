/** `hatchway kill`: ends sessions by their ids, and whole connections by whose, where or which they are. */
import { PROGRAM_NAME } from '../base/program-name.ts'
import type { Config } from '../config/schema.ts'
import { CliFailure } from '../control/cli-failure.ts'
import { allConnections, allSessions, killOne } from '../control/client.ts'
import type { ConnectionRow } from '../control/protocol.ts'

export interface KillOptions {
  /** Of sessions; the beginning of an id is enough where no other begins so. */
  readonly ids: readonly string[]
  readonly connections: readonly string[]
  readonly identities: readonly string[]
  /** Names of containers, or beginnings of their ids. */
  readonly containers: readonly string[]
}

interface Wanted {
  readonly what: 'sessions' | 'connections'
  readonly id: string
  /** Of the gateway that has it: no other is asked, as one that hangs would be waited for each time. */
  readonly socket: string
}

const HEX = /^[0-9a-f]{1,32}$/
const MIN_CONTAINER_ID = 4

/** Ends what can be found, and says so to `print`. @throws CliFailure about all that cannot */
export async function kill(config: Config, options: KillOptions, print: (line: string) => void): Promise<void> {
  const { ids, connections, identities, containers } = options
  if ([ids, connections, identities, containers].every(({ length }) => length === 0))
    throw new CliFailure('whom? a session id, --connection, --identity or --container', 2)
  for (const id of ids)
    if (!HEX.test(id)) throw new CliFailure(`"${id}" is no session id: \`${PROGRAM_NAME} sessions\` shows them`)
  const problems: string[] = []
  const wanted: Wanted[] = []
  if (ids.length > 0) {
    const live = (await allSessions(config.controlSocket, false)).flatMap(({ socket, sessions }) =>
      sessions.map(({ id }): Wanted => ({ what: 'sessions', id, socket })),
    )
    for (const id of ids) wanted.push(...byPrefix('sessions', id, live, problems))
  }
  if (connections.length + identities.length + containers.length > 0) {
    const live = (await allConnections(config.controlSocket)).flatMap(({ socket, connections }) =>
      connections.map((row) => ({ row, kill: { what: 'connections', id: row.connectionId, socket } as const })),
    )
    const known = live.map(({ kill }) => kill)
    for (const id of connections) wanted.push(...byPrefix('connections', id, known, problems))
    const these = (of: string, meant: (row: ConnectionRow) => boolean) => {
      const found = live.filter(({ row }) => meant(row))
      if (found.length === 0) problems.push(`no connection ${of}: \`${PROGRAM_NAME} connections\` shows them`)
      wanted.push(...found.map(({ kill }) => kill))
    }
    for (const name of identities) these(`of ${name}`, ({ identity }) => identity.name === name)
    for (const container of containers) these(`into ${container}`, (row) => isInto(row, container))
  }
  for (const { what, id, socket } of new Map(wanted.map((each) => [each.id, each])).values()) {
    try {
      if (await killOne(socket, what, id)) print(`${singular(what)} ${id} is being ended\n`)
      else problems.push(`${singular(what)} ${id} has ended already`)
    } catch (error) {
      // Of several gateways one may hang: the others end theirs.
      if (!(error instanceof CliFailure)) throw error
      problems.push(`${singular(what)} ${id}: ${error.message}`)
    }
  }
  if (problems.length > 0) throw new CliFailure(problems.join('; '))
}

function byPrefix(what: Wanted['what'], id: string, live: readonly Wanted[], problems: string[]): Wanted[] {
  const exact = live.filter((each) => each.id === id)
  const found = exact.length > 0 ? exact : live.filter((each) => HEX.test(id) && each.id.startsWith(id))
  if (found.length === 1) return found
  problems.push(
    found.length === 0
      ? `no live ${singular(what)} ${id}: \`${PROGRAM_NAME} ${what}\` shows them`
      : `several ${what} begin with ${id}: ${found.map((each) => each.id).join(', ')}`,
  )
  return []
}

/** By where its login leads and what it uses; of an older gateway, by what it logged in as. */
function isInto({ sessions, forwards, listeners, login, container }: ConnectionRow, meant: string): boolean {
  if (login === meant || login.endsWith(`@${meant}`)) return true
  const isId = HEX.test(meant) && meant.length >= MIN_CONTAINER_ID
  const used = [...sessions, ...forwards, ...listeners].map((each) => each.container)
  return [...(container ? [container] : []), ...used].some(
    ({ id, name }) => name === meant || (isId && id.startsWith(meant)),
  )
}

function singular(what: Wanted['what']): string {
  return what.slice(0, -1)
}
