/** `hatchway restart` and `drain`: the running gateways of this user leave their places, without ending a session. */
import { plural } from '../base/plural.ts'
import { PROGRAM_NAME } from '../base/program-name.ts'
import type { Config } from '../config/schema.ts'
import { CliFailure } from '../control/cli-failure.ts'
import { drainGateways, restartGateways } from '../control/client.ts'
import type { ControlRestart } from '../control/protocol.ts'
import { gatewayName } from './gateway-name.ts'

/** @throws CliFailure with the reasons of those that go on, also of one that does not answer */
export async function restart(config: Config, print: (text: string) => void): Promise<void> {
  const silent: string[] = []
  const answers = await restartGateways(config.controlSocket, (sentence) => silent.push(sentence))
  for (const answer of answers) if (answer.problem === undefined) print(`${restartSentence(answer)}\n`)
  const problems = answers.flatMap(({ pid, problem }) => (problem === undefined ? [] : [`gateway ${pid}: ${problem}`]))
  if (problems.length + silent.length > 0) throw new CliFailure([...problems, ...silent].join('; '))
  if (answers.every(({ successor }) => successor === undefined))
    throw new CliFailure(
      `no gateway of yours takes new connections: ${PROGRAM_NAME} serve, or systemctl start hatchway`,
    )
}

function restartSentence({ pid, successor, open, ...status }: ControlRestart): string {
  if (!successor) return `${gatewayName({ ...status, pid })}: ${left(open)}`
  return `gateway ${successor.pid} (${successor.version}) has taken over from gateway ${pid}: ${left(open)}`
}

/** @throws CliFailure also where one did not answer, for that may go on taking connections */
export async function drain(config: Config, print: (text: string) => void): Promise<void> {
  const silent: string[] = []
  const answers = await drainGateways(config.controlSocket, (sentence) => silent.push(sentence))
  for (const { pid, open } of answers) print(`gateway ${pid} takes no new connections: ${left(open)}\n`)
  if (silent.length > 0) throw new CliFailure(silent.join('; '))
}

function left(open: number): string {
  return open === 0 ? 'it had no connections' : `${plural(open, 'connection goes', 'connections go')} on there`
}
