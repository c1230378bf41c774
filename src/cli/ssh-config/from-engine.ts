/** Makes hosts of the containers of this machine, as the policy lets this user enter them; `hatchway connect` leads there. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { type HostKey, loadHostKeys, publicLine } from '../../auth/hostkeys.ts'
import { ownKey } from '../../auth/key-files.ts'
import { at } from '../../base/connection-facts.ts'
import { PACKAGE_ROOT } from '../../base/package-root.ts'
import type { Config } from '../../config/schema.ts'
import { containerHosts } from '../../container/host-names.ts'
import { CliFailure } from '../../control/cli-failure.ts'
import { runningGateways } from '../../control/running.ts'
import type { ContainerSummary, Engine } from '../../engine/engine.ts'
import { engineLimit } from '../../engine/messages.ts'
import { openEngines } from '../../engine/open.ts'
import { deadline } from '../../lifetime/deadline.ts'
import { opened } from '../../lifetime/scope.ts'
import { createLog, type Logger } from '../../observe/log.ts'
import { createPolicy } from '../../policy/policy.ts'
import { entries, knownHostsText } from './entries.ts'
import { chosenHosts } from './hosts.ts'
import { ownIdentities } from './identities.ts'
import type { HostSettings, HostSource } from './source.ts'

const ENGINE_MS = 20_000

export interface EngineSource extends HostSource {
  readonly engine: Engine
}

/** @param again flags with which `hatchway connect` loads the same configuration */
export function fromEngine(
  config: Config,
  sshFolder: string,
  again: readonly string[],
  settings: HostSettings,
): Promise<EngineSource> {
  return opened(async (scope) => {
    const { log } = scope.add(await createLog({ ...config.log, level: 'warn' }), ({ close }) => close())
    const limit = deadline(engineLimit('listing containers', ENGINE_MS))
    const engine = scope.add(await openEngines(config, limit), (engine) => engine.close())
    const hostKeys = await loadHostKeys(config, () => {})
    const mayEnter = await entryOf(config, engine, sshFolder, log)
    const gateway = await gatewayAddress(config, hostKeys)
    const key = ownKey(config.keysDirectory)
    const program = [process.execPath, join(PACKAGE_ROOT, 'dist', 'main.js'), 'connect']
    const own = ['--gateway', gateway, '--known-hosts', settings.knownHosts]
    const socket = config.controlSocket === undefined ? [] : ['--control-socket', config.controlSocket]
    const block = {
      ...settings,
      connect: [...program, ...own, ...socket, ...again, '--'],
      identityFile: config.authorizedKeys === undefined && existsSync(key) ? key : undefined,
    }
    return {
      engine,
      async plan(taken) {
        const visible: ContainerSummary[] = []
        const all = await engine.list(deadline(engineLimit('listing containers', ENGINE_MS)))
        for (const container of all) if (await mayEnter(container)) visible.push(container)
        const hosts = await chosenHosts(containerHosts(visible, config.aliases), config.hostSuffixes, taken)
        const text = entries({ ...block, hosts: hosts.served, suffixes: hosts.suffixes })
        return { hosts, left: [], entries: text, knownHosts: knownHostsText(hostKeys) }
      },
      close: scope.close,
    }
  })
}

/** @throws CliFailure: nobody with these keys is let in */
async function entryOf(config: Config, engine: Engine, sshFolder: string, log: Logger) {
  const { rules, environment } = config
  const policy = createPolicy({ rules, acceptEnv: environment.accept, engine })
  const identities = await ownIdentities(config, sshFolder, log)
  if (identities.length === 0) {
    throw new CliFailure(`this gateway lets in none of the public keys in ${sshFolder}: see authorizedKeys`)
  }
  const origin = { connectionId: 'config-ssh', login: '@', remote: { address: '127.0.0.1', port: 0 } }
  return async (container: ContainerSummary): Promise<boolean> => {
    for (const identity of identities) {
      if ((await policy({ identity, origin, container, action: { kind: 'enter' } })).allowed) return true
    }
    return false
  }
}

/** Returns where the person's own gateway with these host keys listens, at whatever port; or where it would if it ran. */
async function gatewayAddress(config: Config, hostKeys: readonly HostKey[]): Promise<string> {
  const own = hostKeys.map(publicLine)
  const running = await runningGateways(config.controlSocket)
  const endpoints = running.flatMap(({ hostKeys, endpoints }) =>
    hostKeys.some((key) => own.includes(key)) ? endpoints : [],
  )
  const [wanted = { host: '127.0.0.1', port: 2222 }] = config.listen
  const { host, port } = endpoints.find(({ port }) => port === wanted.port) ?? endpoints[0] ?? wanted
  return at({ address: host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '::1' : host, port })
}
