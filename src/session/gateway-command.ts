/**
 * A command for the gateway itself, where the login names no container: `ls` lists what this identity may enter,
 * `config-ssh` makes hosts of it for ssh. A container that is called `ls` is entered by its login, like any other.
 */
import { HatchwayError } from '../base/errors.ts'
import { splitLoginName } from '../base/login-name.ts'
import { printable } from '../base/printable.ts'
import { nearestNames } from '../container/find.ts'
import type { ContainerHost } from '../container/host-names.ts'
import { createKeyedSemaphore } from '../lifetime/semaphore.ts'
import { sorted } from '../picker/entry.ts'
import { pickerList } from '../picker/pick.ts'
import type { SshConnection } from '../ssh/connection.ts'
import type { SessionStart, SshSession } from '../ssh/session.ts'
import type { GatewayQuestion } from './destination.ts'
import { type GatewayAddress, parseGatewayAddress } from './gateway-address.ts'
import { hostPort, jumpBlocks, knownHost } from './host-block.ts'
import { say } from './tell.ts'

export type GatewayCommand =
  | { readonly name: 'ls' | 'config-ssh'; readonly json: boolean }
  /** `config-ssh HOST[:PORT]`: where its client reaches the gateway. */
  | { readonly name: 'config-ssh'; readonly json: false; readonly address: GatewayAddress }

/** What `config-ssh` tells of the gateway. */
export interface GatewayFacts {
  /** Lines of known_hosts without their host: "ssh-ed25519 AAAA...". */
  readonly hostKeys: readonly string[]
  readonly hostSuffixes: readonly string[]
}

/** Undefined: these words are a command for a container. */
export function gatewayCommand(start: SessionStart): GatewayCommand | undefined {
  if (start.kind !== 'exec') return undefined
  const [name, argument, ...more] = start.command.toString('latin1', 0, MAX_COMMAND_BYTES).split(' ')
  if ((name !== 'ls' && name !== 'config-ssh') || more.length > 0) return undefined
  if (argument === undefined || argument === '--json') return { name, json: argument !== undefined }
  const address = name === 'config-ssh' ? parseGatewayAddress(argument) : undefined
  return address && { name: 'config-ssh', json: false, address }
}

/** More than the longest of them has. */
const MAX_COMMAND_BYTES = 512

type Asker = Pick<SshConnection<{ readonly name: string }>, 'identity' | 'user' | 'local'>

/** Writes the answer; the caller ends the session. @throws HatchwayError ENGINE_*, NOT_SUPPORTED; the signal's reason */
export type AnswerCommand = (
  session: SshSession,
  command: GatewayCommand,
  question: GatewayQuestion,
  connection: Asker,
  signal: AbortSignal,
) => Promise<void>

/**
 * Each answer asks the engine for everything and the policy about each container, and no limit of sessions counts it: an
 * identity's questions are answered one after the other.
 */
export function createAnswers(facts: GatewayFacts): AnswerCommand {
  const turns = createKeyedSemaphore({ atOnce: 1 })
  return async (session, command, question, connection, signal) => {
    const leave = await turns.enter(connection.identity.name, signal)
    try {
      await answer(session, command, question, connection, facts, signal)
    } finally {
      leave()
    }
  }
}

async function answer(
  session: SshSession,
  command: GatewayCommand,
  question: GatewayQuestion,
  connection: Asker,
  facts: GatewayFacts,
  signal: AbortSignal,
): Promise<void> {
  const out = (text: string) => session.write(1, Buffer.from(session.pty ? text.replaceAll('\n', '\r\n') : text))
  if (command.name === 'config-ssh') {
    const hosts = await question.hosts(signal)
    const { hostKeys, hostSuffixes: suffixes } = facts
    if (command.json) return void out(`${JSON.stringify({ hostKeys, suffixes, hosts })}\n`)
    return void out(hostsText(hosts, jumpOf(command, connection), facts))
  }
  const entries = sorted(await question.entries(signal), undefined)
  for (const sentence of await question.unanswered()) say(session, printable(sentence))
  if (command.json) {
    const rows = entries.map(({ name, compose, image, state, status }) => ({ name, compose, image, state, status }))
    return void out(`${JSON.stringify(rows, null, 2)}\n`)
  }
  out(pickerList(entries))
  // Their own login name, which ssh sends, or a slip in a container's: the command was for that one then.
  const { word } = question
  const names = entries.map(({ ref }) => ref)
  const [near] = word === undefined ? [] : nearestNames(word, names)
  if (word !== undefined && near !== undefined) {
    say(
      session,
      `no container "${printable(word.slice(0, 80))}" (did you mean ${near}?): this is the gateway's own list`,
    )
  }
}

/** Where ssh jumps from: as the command says, else where this connection arrived. */
function jumpOf(command: GatewayCommand, { user, local }: Asker) {
  const said = 'address' in command ? command.address : undefined
  const host = said?.host ?? parseGatewayAddress(local.address)?.host ?? parseGatewayAddress(`[${local.address}]`)?.host
  if (host === undefined || host === 'UNKNOWN') {
    throw new HatchwayError(
      'NOT_SUPPORTED',
      'this connection does not show where you reach the gateway: config-ssh HOST:PORT',
    )
  }
  const { claimed } = splitLoginName(user)
  return { login: claimed === undefined ? '@' : `${claimed}=@`, host, port: said?.port ?? (local.port || 22) }
}

/**
 * A text to put into ssh_config as it is. No client has looked whether it knows these names: where the gateway takes a
 * suffix off, they have it, so that `github` stays what it was. ssh has just learnt the gateway's key, under its own name.
 */
function hostsText(
  hosts: readonly ContainerHost[],
  jump: ReturnType<typeof jumpOf>,
  { hostKeys, hostSuffixes: [suffix] }: GatewayFacts,
): string {
  const alias = knownHost(jump)
  // A name with a dot looks like an internet host, and whoever made the container chose it: only with our suffix.
  const named = hosts.map(({ name }) => name).filter((name) => suffix !== undefined || !name.includes('.'))
  const names = named.map((name) => `${name}${suffix ?? ''}`).filter((name) => name !== jump.host)
  const pattern = suffix === undefined || jump.host.endsWith(suffix) ? [] : [`*${suffix}`]
  return [
    `# Hosts for ssh_config: what you may enter at ${hostPort(jump)}.\n`,
    '# The same as lines of known_hosts:\n',
    ...hostKeys.map((key) => `#   ${alias} ${key}\n`),
    jumpBlocks([...names, ...pattern], jump, [], [`HostKeyAlias ${alias}`]),
  ].join('')
}
