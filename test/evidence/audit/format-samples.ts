/** A record of each action but the two that the trail writes itself, and of each outcome that it may have, with all the facts that records have. */
import type { AuditAction } from '../../../src/evidence/audit/actions.ts'
import type { RecordFields } from '../../../src/evidence/audit/formats/fields.ts'

const at = '2026-12-01T10:11:12.345Z'
const gateway = { id: 'a'.repeat(32), host: 'gw', process: 'b'.repeat(32) }
const whose = {
  ...{ connection: 'c0ffee', remote: '192.0.2.7:50000', login: 'dev@web', identity: 'anna', method: 'publickey' },
  ...{ fingerprint: 'SHA256:x', source: '/etc/hatchway/keys:7' },
}
const inside = {
  container: { id: 'd'.repeat(64), name: 'web', image: 'debian:12', engine: 'unix:///run/d' },
  user: 'dev',
}
const amounts = { bytesIn: 10, bytesOut: 20, durationMs: 30 }
const sha256 = 'e'.repeat(64)

const FACTS: Readonly<Record<Exclude<AuditAction, 'trail' | 'head'>, RecordFields>> = {
  login: { ...whose, leadsTo: 'web', certificate: { serial: '1', keyId: 'k', authority: 'SHA256:y' } },
  logout: { ...whose, reason: 'the client left', durationMs: 5 },
  connection: { ...whose, code: 'TOO_MANY', reason: 'one too many' },
  'source-refused': { source: '2001:db8::/64', reason: 'noauth', durationMs: 5000 },
  'session-start': {
    ...whose,
    ...inside,
    session: 's1',
    kind: 'exec',
    command: 'id "\u202e"',
    tty: false,
    road: 'guest',
  },
  'session-end': { ...whose, ...inside, session: 's1', kind: 'exec', exit: { code: 3 }, ...amounts },
  'session-recorded': { ...whose, ...inside, session: 's1', record: 'r1', state: 'complete', sha256 },
  'gateway-command': { ...whose, command: 'ls' },
  file: {
    ...{ ...whose, ...inside, session: 's1', protocol: 'sftp', operation: 'close', path: '/srv/data', result: 'OK' },
    ...{ bytesRead: 5, bytesWritten: 0, sha256Read: sha256 },
  },
  'forward-start': { ...whose, ...inside, forward: 'local', place: 'db:5432' },
  'forward-end': { ...whose, ...inside, forward: 'local', place: '[2001:db8::1]:5432', ...amounts },
  'listener-start': { ...whose, ...inside, forward: 'agent', place: '/tmp/ssh-1/agent.sock' },
  'listener-end': { ...whose, ...inside, forward: 'remote', place: 'localhost:80', durationMs: 5 },
  jump: { ...whose, to: 'web' },
  policy: { ...whose, ...inside, asked: 'forward-local', host: 'db', port: 5432, rule: 'devs' },
  kill: { ...whose, ...inside, session: 's1' },
  'admin-token': { by: 'root' },
  'admin-sign-in': { by: 'root' },
  'admin-sign-out': { by: 'root' },
  fault: { connection: 'c0ffee', remote: '192.0.2.7:50000', reason: 'unknown' },
  reload: { keys: 3, ended: 1, restart: ['listen'] },
  'container-made': { ...whose, ...inside, template: 'node' },
  'container-started': { ...whose, ...inside },
  'container-accompanied': { ...whose, ...inside },
  'container-unpaused': { ...whose, ...inside },
  'container-stopped': inside,
  'container-removed': inside,
  'container-swept': inside,
  'gateway-start': { pid: 1, listen: ['127.0.0.1:2222'] },
  'gateway-release': { connections: 2 },
  'gateway-drain': { sessions: 2, graceMs: 5, signal: 'SIGTERM' },
  'gateway-end': {},
  sealed: { torn: { bytes: 1, sha256 } },
  'records-lost': { count: 3 },
  cut: { signed: 9, found: 8 },
  disturbed: { bytes: 1, written: 2 },
}

/** Variants that go other ways through what writes a format. */
const MORE: readonly RecordFields[] = [
  { action: 'login', outcome: 'refused', connection: 'c', remote: '[2001:db8::7]:5', login: 'x', method: 'none' },
  { action: 'login', outcome: 'ok', partial: true, ...whose, method: 'password' },
  { action: 'session-end', outcome: 'refused', ...whose, code: 'NOT_PERMITTED', reason: 'no' },
  {
    action: 'session-end',
    outcome: 'failed',
    ...whose,
    ...inside,
    session: 's2',
    kind: 'shell',
    exit: { signal: 'KILL' },
  },
  { action: 'forward-start', outcome: 'refused', ...whose, forward: 'local', place: 'db:1', code: 'NOT_PERMITTED' },
  { action: 'forward-start', outcome: 'failed', ...whose, forward: 'local', place: '192.0.2.9:1', reason: 'refused' },
  { action: 'file', outcome: 'failed', ...FACTS.file, operation: 'mkdir', path: '/', result: 'FAILURE' },
  { action: 'file', outcome: 'ok', ...FACTS.file, operation: 'upload', size: 5, sha256Written: sha256 },
]

export const SAMPLES: readonly RecordFields[] = [
  ...Object.entries(FACTS).map(([action, facts]) => ({
    at,
    action,
    outcome: action === 'policy' ? 'refused' : 'ok',
    gateway,
    ...facts,
  })),
  ...MORE.map((record) => ({ at, gateway, ...record })),
]
