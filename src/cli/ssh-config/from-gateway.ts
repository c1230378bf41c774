/**
 * Makes hosts of what a gateway on another machine lets this user enter. The person's own ssh asks it, so keys, agents
 * and jumps are as ever, and what it answers came over a connection that was proved. Others still choose the names in it:
 * each is checked before it is written, and the text of the hosts is made here.
 */
import { execa } from 'execa'
import { z } from 'zod'
import { messageOf } from '../../base/errors.ts'
import { printable } from '../../base/printable.ts'
import { isHostName } from '../../container/host-names.ts'
import { CliFailure } from '../../control/cli-failure.ts'
import { parseGatewayAddress } from '../../session/gateway-address.ts'
import { hostPort, type Jump, jumpBlocks } from '../../session/host-block.ts'
import { pinned, WRITTEN } from './entries.ts'
import { chosenHosts } from './hosts.ts'
import type { HostSettings, HostSource } from './source.ts'

const USUAL_PORT = 2222
const SSH_PORT = 22
/** Of ssh itself: not connected, or not let in. */
const SSH_FAILED = 255
const NEEDED =
  '. Your own ssh must be let in there: with a key in ~/.ssh or in its agent (ssh-keygen makes one) that the gateway accepts (authorizedKeys)'
/** Of ssh -G, which connects nowhere. */
const READ_MS = 10_000
/** A person may have to type a password and a code. */
const ASK_MS = 5 * 60_000
const MAX_ANSWER_BYTES = 8 * 1024 * 1024
/** Two or four processes look for each of them. */
const MAX_HOSTS = 500
/** Without a word of the person's: what no internet host ends in. */
const USUAL_SUFFIXES = ['.ctr']
/** What may stand before the "@" of --gateway: as ssh passes it on to a shell, in ProxyJump. */
const LOGIN = /^[a-zA-Z0-9_][a-zA-Z0-9_.@=-]{0,64}$/
const HOST_KEY = /^(?:ssh|ecdsa|sk)[a-z0-9@.-]{1,60} [A-Za-z0-9+/]{16,8000}={0,2}$/
const SUFFIX = /^\.[a-zA-Z0-9.-]{1,60}$/

const answerJson = z.object({
  hostKeys: z.array(z.string()).min(1).max(64),
  suffixes: z.array(z.string()).max(16),
  hosts: z.array(z.object({ name: z.string(), running: z.boolean() })).max(20_000),
})

/** Returns where to jump from, for "[LOGIN@]HOST[:PORT]"; HOST may be one of the person's own ssh_config. @throws CliFailure */
export async function gatewayOf(text: string, ssh: readonly string[]): Promise<Jump> {
  const at = text.lastIndexOf('@')
  const login = at < 1 ? '@' : text.slice(0, at)
  const address = parseGatewayAddress(text.slice(at + 1))
  if (!address || (login !== '@' && !LOGIN.test(login))) {
    throw new CliFailure(`no gateway: ${JSON.stringify(text)}; expected HOST or HOST:PORT`)
  }
  return { login, host: address.host, port: address.port ?? (await usualPort(address.host, ssh)) }
}

/** @throws CliFailure */
export function demandSuffixes(suffixes: readonly string[]): void {
  const odd = suffixes.find((suffix) => !SUFFIX.test(suffix))
  if (odd !== undefined) throw new CliFailure(`no suffix: ${JSON.stringify(odd)}; expected one such as .ctr`)
}

/**
 * @param ssh options with which ssh reads the person's own configuration
 * @param wanted suffixes that the person named. A pattern takes names of others, too: the gateway does not choose it.
 */
export function fromGateway(
  gateway: Jump,
  ssh: readonly string[],
  settings: HostSettings,
  wanted: readonly string[] = USUAL_SUFFIXES,
): HostSource {
  return {
    async plan(taken) {
      const { hostKeys, suffixes: offered, hosts: told } = await ask(gateway, ssh)
      const suffixes = wanted.filter((suffix) => offered.includes(suffix))
      const all = told.filter(({ name }) => isHostName(name))
      const named = all.slice(0, MAX_HOSTS)
      const left = leftOut(hostPort(gateway), all.length, offered, wanted)
      // A jump from a host to itself would never end.
      const isGateway = (name: string) => name.toLowerCase() === gateway.host.toLowerCase()
      const host = async (name: string) => isGateway(name) || taken.host(name)
      const hosts = await chosenHosts(named, suffixes, { ...taken, host })
      const patterns = hosts.suffixes.filter((suffix) => !gateway.host.endsWith(suffix)).map((suffix) => `*${suffix}`)
      const text = jumpBlocks(
        [...hosts.served.filter((name) => !isGateway(name)), ...patterns],
        gateway,
        settings.options,
        pinned(settings.knownHosts),
      )
      const knownHosts = hostKeys.map((key) => `hatchway ${key}\n`).join('')
      return { hosts, left, entries: `${WRITTEN}${text}`, knownHosts }
    },
    async close() {},
  }
}

function leftOut(where: string, count: number, offered: readonly string[], wanted: readonly string[]): string[] {
  const others = offered.filter((suffix) => !wanted.includes(suffix))
  const missing = wanted.filter((suffix) => !offered.includes(suffix))
  return [
    ...(count > MAX_HOSTS ? [`${where} names ${count} hosts: only the first ${MAX_HOSTS} are taken`] : []),
    ...(others.length > 0 ? [`${where} has the suffix ${others.join(', ')}, which is not taken without --suffix`] : []),
    ...(missing.length > 0 ? [`${where} does not have the suffix ${missing.join(', ')}`] : []),
  ]
}

async function ask(gateway: Jump, ssh: readonly string[]) {
  const where = hostPort(gateway)
  const options = ['ClearAllForwardings=yes', 'ForwardAgent=no', 'ForwardX11=no', 'RemoteCommand=none', 'RequestTTY=no']
  const patience = ['ConnectTimeout=30', 'ServerAliveInterval=15', 'ServerAliveCountMax=4']
  const login = ['-l', gateway.login, '-p', String(gateway.port)]
  const given = [...options, ...patience].flatMap((option) => ['-o', option])
  const { exitCode, stdout, timedOut, isMaxBuffer } = await execa(
    'ssh',
    [...ssh, ...login, ...given, '--', gateway.host, 'config-ssh --json'],
    { reject: false, stdin: 'inherit', stderr: 'inherit', timeout: ASK_MS, maxBuffer: MAX_ANSWER_BYTES },
  )
  if (timedOut) throw new CliFailure(`${where} did not answer within ${ASK_MS / 60_000} minutes`)
  if (exitCode === undefined && !isMaxBuffer) throw new CliFailure('there is no ssh to ask the gateway with')
  if (isMaxBuffer) throw new CliFailure(`${where} told no hosts: its answer is too long`)
  if (exitCode !== 0)
    throw new CliFailure(`${where} told no hosts: ssh ended with ${exitCode}${exitCode === SSH_FAILED ? NEEDED : ''}`)
  return parseAnswer(stdout, where)
}

/** @throws CliFailure */
export function parseAnswer(text: string, where: string): z.infer<typeof answerJson> {
  try {
    const answer = answerJson.parse(JSON.parse(text))
    const odd = [
      ...answer.hostKeys.filter((key) => !HOST_KEY.test(key)),
      ...answer.suffixes.filter((suffix) => !SUFFIX.test(suffix)),
    ]
    if (odd.length > 0) throw new Error(`neither a host key nor a suffix: ${printable(String(odd[0]).slice(0, 80))}`)
    return answer
  } catch (error) {
    const cause = printable(messageOf(error).slice(0, 200))
    throw new CliFailure(`what ${where} answered are no hosts of a gateway of Hatchway: ${cause}`, 1, { cause: error })
  }
}

/** The gateway's own usual one, unless the person's ssh_config has another for this host. */
async function usualPort(host: string, ssh: readonly string[]): Promise<number> {
  const { stdout = '' } = await execa('ssh', ['-G', ...ssh, '--', host], { reject: false, timeout: READ_MS })
  const port = Number(/^port (\d+)$/m.exec(stdout)?.[1] ?? SSH_PORT)
  return port === SSH_PORT ? USUAL_PORT : port
}
