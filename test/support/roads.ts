/**
 * The ways into a container that every e2e promise is tried on: the gateway on each engine driver, and sshd inside the
 * container as the reference. A test that passes on sshd and fails on a road of ours is a difference of ours.
 */
import { referenceIsDue } from '../run/reference.ts'
import { startContainer, type TestContainer, testName } from './containers.ts'
import { type Gateway, type GatewayOptions, startGateway } from './gateway.ts'
import { type Keys, makeKeys, makeSshClient, type SshClient } from './ssh.ts'
import { startSshd } from './sshd.ts'

export const ALL_ROADS = ['hatchway docker', 'hatchway cli', 'sshd'] as const
export type RoadName = (typeof ALL_ROADS)[number]

// For work on one road: HATCHWAY_E2E_ROADS="sshd" or "hatchway docker,hatchway cli".
const chosen = process.env.HATCHWAY_E2E_ROADS?.split(',')
export const ROADS: readonly RoadName[] = ALL_ROADS.filter(
  (road) => chosen?.includes(road) ?? (road !== 'sshd' || referenceIsDue()),
)
/** For promises that sshd does not make: container names, engine failures. */
export const GATEWAY_ROADS: readonly RoadName[] = ROADS.filter((road) => road !== 'sshd')

export interface Road {
  readonly name: RoadName
  readonly keys: Keys
  /** Logs in as dev. */
  readonly client: SshClient
  readonly container: TestContainer
  /** Undefined for sshd. */
  readonly gateway: Gateway | undefined
  /** Another login on the same road: "web", "nologin@web"; `extra` are ssh_config lines. */
  as(user: string, extra?: readonly string[]): Promise<SshClient>
  close(): Promise<void>
}

export interface RoadOptions {
  /** Keys, and for a gateway a container, that several roads share; whoever made them removes them, after the roads. */
  readonly beside?: Pick<Road, 'keys' | 'container'>
  readonly containerArgs?: readonly string[]
  readonly guest?: GatewayOptions['guest']
  readonly gatewayArgs?: readonly string[]
  /** HATCHWAY_* settings. */
  readonly gatewayEnv?: Readonly<Record<string, string>>
  /** The same for sshd, as lines of sshd_config(5). */
  readonly sshdConfig?: string
}

export async function openRoad(name: RoadName, options: RoadOptions = {}): Promise<Road> {
  const { beside } = options
  const keys = beside?.keys ?? (await makeKeys())
  const closers: (() => Promise<unknown>)[] = beside ? [] : [() => keys.close()]
  // Last opened, first closed; one failing must not leave the others behind.
  const close = async () => {
    for (const closer of closers.splice(0).reverse()) await closer().catch(() => undefined)
  }
  try {
    const args = options.containerArgs ?? []
    const server = name === 'sshd' ? await startSshd(keys, { args }, options.sshdConfig) : undefined
    const container =
      server?.container ?? beside?.container ?? (await startContainer('debian', { args, name: testName('web') }))
    if (container !== beside?.container) closers.push(() => container.remove())
    const gateway = server
      ? undefined
      : await startGateway({
          keys,
          engine: name === 'hatchway cli' ? 'cli' : 'docker',
          ...(options.guest ? { guest: options.guest } : {}),
          ...(options.gatewayArgs ? { args: options.gatewayArgs } : {}),
          ...(options.gatewayEnv ? { env: options.gatewayEnv } : {}),
        })
    if (gateway) closers.push(() => gateway.stop())
    const target = server?.target ?? gateway?.target(`dev@${container.name}`)
    if (!target) throw new Error(`no target for ${name}`)
    const as: Road['as'] = async (user, extra) => {
      const client = await makeSshClient({ ...target, user }, extra)
      closers.push(() => client.close())
      return client
    }
    return { name, keys, container, gateway, client: await as(target.user), as, close }
  } catch (error) {
    await close()
    throw error
  }
}
