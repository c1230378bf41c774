/**
 * Open Cybersecurity Schema Framework: SSH Activity (4007), for sessions' programs Process Activity (1007), for forwards
 * Network Activity (4001). What none of them is about is a Base Event (0).
 */

import { isIP } from 'node:net'
import { basename } from 'node:path'
import {
  addressIn,
  hashesOf,
  having,
  numberIn,
  objectIn,
  type RecordAddress,
  type RecordFields,
  stringIn,
} from './fields.ts'

const OCSF_VERSION = '1.8.0'
const BASE = { category: 0, uid: 0 }
const PROCESS = { category: 1, uid: 1007 }
const NETWORK = { category: 4, uid: 4001 }
const SSH = { category: 4, uid: 4007 }

/** activity_id of 4001 and 4007. */
const [OPEN, CLOSE, FAIL, REFUSE, TRAFFIC, LISTEN] = [1, 2, 4, 5, 6, 7]
/** activity_id of 1007. */
const [LAUNCH, TERMINATE] = [1, 2]
const OTHER = 99
const SERVER = 1
const SHA256 = 3
const [SUCCESS, FAILURE] = [1, 2]
const SEVERITY: Readonly<Record<string, number>> = { ok: 1, refused: 2, failed: 3 }
/** file.type_id */
const [UNKNOWN_FILE, REGULAR, FOLDER, LINK] = [0, 1, 2, 7]
const FILE_TYPES: Readonly<Record<string, number>> = {
  ...{ close: REGULAR, upload: REGULAR, download: REGULAR, mkdir: FOLDER, rmdir: FOLDER, symlink: LINK },
}
/** auth_type_id */
const AUTH_TYPES: Readonly<Record<string, number>> = {
  ...{ publickey: 6, password: 5, 'keyboard-interactive': 4, hostbased: 3, 'gssapi-with-mic': 2 },
}
const [CERTIFICATE, OTHER_AUTH] = [1, 99]

type Class = typeof BASE

export function ocsfFields(record: RecordFields): RecordFields {
  const { action, outcome, at } = record
  const [{ category, uid }, activity] = classOf(record)
  const isGood = outcome === 'ok' || outcome === undefined
  return {
    ...{ category_uid: category, class_uid: uid, activity_id: activity, type_uid: uid * 100 + activity },
    ...(activity === OTHER && { activity_name: action }),
    time: Date.parse(String(at)),
    severity_id: SEVERITY[isGood ? 'ok' : String(outcome)] ?? OTHER,
    status_id: isGood ? SUCCESS : FAILURE,
    metadata: {
      ...{ version: OCSF_VERSION, product: { name: 'Hatchway', vendor_name: 'Hatchway' } },
      ...{ log_name: 'audit', event_code: action, profiles: ['container', 'host'] },
    },
    device: deviceOf(record),
    ...having({
      actor: actorOf(record),
      container: containerOf(record),
      status_code: stringIn(record.code),
      status_detail: stringIn(record.reason),
      duration: numberIn(record.durationMs),
    }),
    ...(uid === PROCESS.uid && processOf(record)),
    ...(category === SSH.category && networkOf(record)),
    ...(uid === SSH.uid && sshOf(record)),
  }
}

function classOf({ action, outcome, partial, session, kind }: RecordFields): readonly [Class, number] {
  const begun = (good: number) => (outcome === 'ok' ? good : outcome === 'refused' ? REFUSE : FAIL)
  switch (action) {
    case 'login':
      return [SSH, partial === true ? OTHER : begun(OPEN)]
    case 'logout':
      return [SSH, CLOSE]
    case 'connection':
    case 'source-refused':
    case 'policy':
      return [SSH, REFUSE]
    case 'file':
    case 'gateway-command':
      return [SSH, TRAFFIC]
    case 'session-start':
      return [PROCESS, LAUNCH]
    case 'session-end':
      // One that never was: it has no id, or no program.
      return session === undefined || kind === undefined ? [SSH, begun(CLOSE)] : [PROCESS, TERMINATE]
    case 'forward-start':
    case 'jump':
      return [NETWORK, begun(OPEN)]
    case 'listener-start':
      return [NETWORK, LISTEN]
    case 'forward-end':
    case 'listener-end':
      return [NETWORK, CLOSE]
    default:
      return [BASE, OTHER]
  }
}

/** The gateway: it is who tells. */
function deviceOf(record: RecordFields): RecordFields {
  const { host, id } = objectIn(record.gateway)
  const uid = stringIn(id)
  return { type_id: SERVER, hostname: stringIn(host) ?? 'unknown', ...having({ uid }) }
}

function actorOf({ identity, source, action }: RecordFields): RecordFields | undefined {
  const name = stringIn(identity)
  const why = action === 'source-refused' ? undefined : stringIn(source)
  return having({
    user: name === undefined ? undefined : { name },
    authorizations: why === undefined ? undefined : [{ policy: { name: why } }],
    app_name: name === undefined ? 'hatchway' : undefined,
  })
}

function containerOf(record: RecordFields): RecordFields | undefined {
  const { id, name, image } = objectIn(record.container)
  const from = stringIn(image)
  return having({
    uid: stringIn(id),
    name: stringIn(name),
    image: from === undefined ? undefined : { uid: from, name: from },
  })
}

function processOf({ session, command, kind, user, exit }: RecordFields): RecordFields {
  const name = stringIn(user)
  const code = numberIn(objectIn(exit).code)
  const said = { name: stringIn(kind), cmd_line: stringIn(command), user: name === undefined ? undefined : { name } }
  return { process: { uid: session, ...having(said) }, ...having({ exit_code: code }) }
}

function networkOf(record: RecordFields): RecordFields {
  const { action, forward, bytesIn, bytesOut, bytesRead, bytesWritten } = record
  const from = addressIn(record.remote ?? (action === 'source-refused' ? record.source : undefined))
  const isOutward = forward === 'local' || action === 'jump'
  const to = isOutward ? addressIn(record.place ?? record.to) : undefined
  return {
    dst_endpoint: to ? endpoint(to) : { hostname: deviceOf(record).hostname },
    ...having({
      src_endpoint: from && endpoint(from),
      traffic: having({ bytes_in: numberIn(bytesIn ?? bytesWritten), bytes_out: numberIn(bytesOut ?? bytesRead) }),
    }),
  }
}

function endpoint({ host, port }: RecordAddress): RecordFields {
  return { ...(isIP(host) ? { ip: host } : { hostname: host }), ...(port !== undefined && { port }) }
}

function sshOf(record: RecordFields): RecordFields {
  const { action, method, certificate } = record
  const how = stringIn(method)
  const type = certificate ? CERTIFICATE : (AUTH_TYPES[how ?? ''] ?? OTHER_AUTH)
  return {
    ...(action === 'login' && how !== undefined && { auth_type_id: type, auth_type: how }),
    ...(action === 'file' && { file: fileOf(record) }),
  }
}

function fileOf(record: RecordFields): RecordFields {
  const path = stringIn(record.path)
  const hashes = hashesOf(record).map((value) => ({ algorithm_id: SHA256, algorithm: 'SHA-256', value }))
  return {
    name: basename(path ?? '') || 'unknown',
    type_id: FILE_TYPES[String(record.operation)] ?? UNKNOWN_FILE,
    ...having({ path, size: numberIn(record.size), hashes: hashes.length > 0 ? hashes : undefined }),
  }
}
