/** Elastic Common Schema. Who did it is `user`, as whom inside `user.effective`, from where `source`, through whom `observer`. */
import { isIP } from 'node:net'
import type { AuditAction } from '../actions.ts'
import { addressIn, hashesOf, having, numberIn, objectIn, type RecordFields, stringIn } from './fields.ts'

const ECS_VERSION = '9.4.0'

type Kinds = readonly [category: readonly string[], type: readonly string[]]

/** event.category and event.type, of those that ECS allows together. */
const KINDS: Readonly<Record<AuditAction, Kinds>> = {
  login: [['authentication'], ['start']],
  logout: [['authentication'], ['end']],
  connection: [['network'], ['connection']],
  'source-refused': [['network'], ['connection']],
  'session-start': [['session', 'process'], ['start']],
  'session-end': [['session', 'process'], ['end']],
  'session-recorded': [['session'], ['info']],
  'gateway-command': [['process'], ['info']],
  file: [['file'], ['info']],
  'forward-start': [['network'], ['connection', 'start']],
  'forward-end': [['network'], ['connection', 'end']],
  'listener-start': [['network'], ['start']],
  'listener-end': [['network'], ['end']],
  jump: [['network'], ['connection', 'start']],
  policy: [['network'], ['access']],
  kill: [['session'], ['end']],
  'admin-token': [['authentication'], ['info']],
  'admin-sign-in': [['authentication'], ['start']],
  'admin-sign-out': [['authentication'], ['end']],
  fault: [['process'], ['info']],
  reload: [['configuration'], ['change']],
  'container-accompanied': [['host'], ['change']],
  'container-made': [['host'], ['info']],
  'container-started': [['host'], ['start']],
  'container-unpaused': [['host'], ['change']],
  'container-stopped': [['host'], ['end']],
  'container-removed': [['host'], ['info']],
  'container-swept': [['host'], ['info']],
  'gateway-start': [['process'], ['start']],
  'gateway-release': [['process'], ['change']],
  'gateway-drain': [['process'], ['change']],
  'gateway-end': [['process'], ['end']],
  trail: [['process'], ['info']],
  head: [['process'], ['info']],
  sealed: [['process'], ['info']],
  'records-lost': [['process'], ['info']],
  cut: [['process'], ['info']],
  disturbed: [['process'], ['info']],
}

const FILE_TYPES: Readonly<Record<string, string>> = {
  ...{ open: 'access', close: 'access', download: 'access' },
  ...{ upload: 'change', setstat: 'change', rename: 'change', copy: 'creation' },
  ...{ mkdir: 'creation', symlink: 'creation', hardlink: 'creation', remove: 'deletion', rmdir: 'deletion' },
}

export function ecsFields(record: RecordFields): RecordFields {
  const { at, identity, user, reason, rule } = record
  const gateway = objectIn(record.gateway)
  const source = addressIn(record.remote ?? (record.action === 'source-refused' ? record.source : undefined))
  const name = stringIn(identity)
  const inside = stringIn(user)
  return {
    '@timestamp': at,
    ecs: { version: ECS_VERSION },
    event: eventOf(record),
    observer: {
      ...having({ hostname: stringIn(gateway.host) }),
      vendor: 'Hatchway',
      product: 'Hatchway',
      type: 'gateway',
    },
    ...having({
      user: having({ name, effective: inside && { name: inside } }),
      source: source && { ...endpoint(source), ...having({ bytes: numberIn(record.bytesIn) }) },
      destination: destinationOf(record),
      network: source && { protocol: 'ssh', transport: 'tcp' },
      container: containerOf(record),
      process: processOf(record),
      file: fileOf(record),
      rule: having({ name: stringIn(rule) }),
      error: having({ code: stringIn(record.code) }),
      message: stringIn(reason),
      related: having({
        user: listed([name, inside]),
        ip: listed([source && isIP(source.host) ? source.host : undefined]),
        hash: listed(hashesOf(record)),
      }),
    }),
  }
}

function eventOf({ action, outcome, operation, durationMs, reason, code }: RecordFields): RecordFields {
  const [category, types] = KINDS[action as AuditAction] ?? [['process'], ['info']]
  const type = action === 'file' ? [FILE_TYPES[String(operation)] ?? 'info'] : [...types]
  // Only a category that has "denied" may be denied.
  if (outcome === 'refused' && category.includes('network')) type.push('denied')
  const milliseconds = numberIn(durationMs)
  return {
    ...{
      kind: 'event',
      category,
      type,
      action,
      outcome: outcome === 'ok' || outcome === undefined ? 'success' : 'failure',
    },
    ...{ module: 'hatchway', dataset: 'hatchway.audit', provider: 'hatchway' },
    ...having({
      reason: stringIn(reason),
      code: stringIn(code),
      duration: milliseconds === undefined ? undefined : milliseconds * 1_000_000,
    }),
  }
}

function endpoint({ host, port }: { readonly host: string; readonly port?: number }): RecordFields {
  return { address: host, ...(isIP(host) ? { ip: host } : { domain: host }), ...(port !== undefined && { port }) }
}

function destinationOf(record: RecordFields): RecordFields | undefined {
  const isLocal = record.forward === 'local' || record.action === 'jump'
  const place = isLocal ? addressIn(record.place ?? record.to) : undefined
  return having({ ...(place && endpoint(place)), bytes: numberIn(record.bytesOut) })
}

function containerOf(record: RecordFields): RecordFields | undefined {
  const { id, name, image } = objectIn(record.container)
  return having({ id: stringIn(id), name: stringIn(name), image: having({ name: stringIn(image) }) })
}

function processOf({ command, exit, tty }: RecordFields): RecordFields | undefined {
  return having({
    command_line: stringIn(command),
    exit_code: numberIn(objectIn(exit).code),
    interactive: typeof tty === 'boolean' ? tty : undefined,
  })
}

function fileOf(record: RecordFields): RecordFields | undefined {
  const [hash, other] = hashesOf(record)
  return having({
    path: stringIn(record.path),
    target_path: stringIn(record.target),
    size: numberIn(record.size),
    // Two are in the record itself: here is room for one.
    hash: other === undefined ? having({ sha256: hash }) : undefined,
  })
}

function listed(values: readonly (string | undefined)[]): string[] | undefined {
  const there = values.filter((value) => value !== undefined)
  return there.length > 0 ? there : undefined
}
