/**
 * Engine over a docker-compatible command line. It works wherever the CLI works (contexts, ssh hosts, auth plugins),
 * at the price of one CLI process for each running program.
 */
import { z } from 'zod'
import { HatchwayError } from '../../base/errors.ts'
import { BoundedMap } from '../../lifetime/bounded-map.ts'
import { anyOf } from '../../lifetime/deadline.ts'
import { createKeyedSemaphore } from '../../lifetime/semaphore.ts'
import type { Container, Engine } from '../engine.ts'
import { nodeArch, parseContainer, parseInspectedSummary, readJson } from '../json.ts'
import { engineError } from '../messages.ts'
import { isContainerRef, shortId } from '../ref.ts'
import { cliArchives } from './archives.ts'
import { cliEvents } from './events.ts'
import { startCliExec } from './exec.ts'
import { addressOptions, demandCopies, flavourOf } from './flavour.ts'
import { cliHolders } from './holders.ts'
import { cliLifecycle } from './lifecycle.ts'
import { cliMarks } from './marks.ts'
import { cliMessage, createCli } from './run.ts'

const MAX_NAMES = 10_000

export interface CliEngineOptions {
  /** "docker", "podman", "nerdctl" or a path to one of them. */
  readonly binary: string
  /** Where its engine is, as its own option takes it: "ssh://user@host", "unix:///path"; absent: where it finds it itself. */
  readonly endpoint?: string
}

const PS = ['ps', '--all', '--no-trunc', '--format', '{{.ID}}\t{{.Status}}']
/** In one container: more than 16 program starts at once hang containerd's shim. */
const STARTS_AT_ONCE = 10

export function createCliEngine({ binary, endpoint }: CliEngineOptions): Engine {
  const flavour = flavourOf(binary)
  const cli = createCli(binary, addressOptions(flavour, endpoint))
  const gate = createKeyedSemaphore({ atOnce: STARTS_AT_ONCE })
  const names = new BoundedMap<string, string>(MAX_NAMES)
  const name = (id: string) => names.get(id) ?? shortId(id)
  const closed = new AbortController()
  const closers = new Map<() => void, string>()

  async function inspect(ref: string, signal: AbortSignal): Promise<Container> {
    if (!isContainerRef(ref)) throw new HatchwayError('CONTAINER_NOT_FOUND', `no container ${JSON.stringify(ref)}`)
    const stdout = await cli.must(['inspect', '--type', 'container', ref], { signal }, { container: ref })
    const found = readJson(stdout, (json) => parseContainer(z.array(z.unknown()).min(1).parse(json)[0]))
    names.set(found.id, found.name)
    return found
  }

  const version = async (signal: AbortSignal) =>
    readJson(await cli.must(flavour.version, { signal }, {}), (json) => versionJson.parse(json))

  let copies = flavour.copiesSince === undefined
  /** Asked once: a program that is replaced while the gateway runs is seldom an older one. */
  async function mayCopy(signal: AbortSignal): Promise<void> {
    if (copies) return
    demandCopies(flavour, (await version(signal)).Version)
    copies = true
  }

  async function isLocal(signal: AbortSignal): Promise<boolean> {
    if (process.platform !== 'linux') return false
    const named = endpoint ?? flavour.variables.map((name) => process.env[name]).find((value) => value)
    if (named !== undefined) return named.startsWith('unix:') || named.startsWith('/')
    if (flavour.host === undefined) return true
    return (await cli.run(flavour.host, { signal })).stdout.toString('utf8').startsWith('unix:')
  }

  return {
    kind: 'cli',
    endpoint: endpoint === undefined ? `${binary} exec` : withoutPassword(endpoint),

    async info(signal) {
      const { Version, Arch, OsArch } = await version(signal)
      demandCopies(flavour, Version)
      return {
        product: flavour.product,
        version: Version,
        arch: nodeArch(Arch ?? OsArch?.split('/')[1] ?? ''),
        local: await isLocal(signal),
      }
    },

    async daemonId(signal) {
      if (!flavour.daemonId) return undefined
      return (await cli.must(flavour.daemonId, { signal }, {})).toString('utf8').trim() || undefined
    },

    async list(signal) {
      const rows = (await cli.must(PS, { signal }, {})).toString('utf8').split('\n')
      const status = new Map(rows.filter((row) => row !== '').map((row) => columnsOf(row.trim())))
      if (status.size === 0) return []
      // One that vanished in between makes the exit code 1; the others are told all the same.
      const { stdout, stderr } = await cli.run(['inspect', '--type', 'container', ...status.keys()], { signal })
      if (stdout.length === 0) throw engineError(cliMessage(stderr), {})
      const found = readJson(stdout, (json) =>
        z
          .array(z.unknown())
          .parse(json)
          .map((item) => parseInspectedSummary(item, (id) => status.get(id) ?? '')),
      )
      for (const container of found) names.set(container.id, container.name)
      return found
    },

    inspect,

    exec: (containerId, spec, sink, signal) =>
      startCliExec({ cli, flavour, gate, closers, name, inspect, containerId, spec, sink, signal }),

    copies: cliArchives(cli, mayCopy, name, inspect),

    holders: cliHolders(cli),

    lifecycle: cliLifecycle(cli, name, (id) => [...closers.values()].filter((inside) => inside === id).length),

    marks: cliMarks(cli, flavour.product),

    events: (signal) => cliEvents(cli, flavour, anyOf(signal, closed.signal)),

    async close() {
      closed.abort(new Error('the engine was closed'))
      for (const close of closers.keys()) close()
    },
  }
}

const versionJson = z.object({ Version: z.string(), Arch: z.string().optional(), OsArch: z.string().optional() })

/** For logs, rules and messages. */
function withoutPassword(endpoint: string): string {
  return endpoint.replace(/^([a-z]+:\/\/[^/@:]*):[^/@]*@/, '$1@')
}

function columnsOf(row: string): [string, string] {
  const [id = '', status = ''] = row.split('\t')
  return [id, status]
}
