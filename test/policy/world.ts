/** People, containers and a short way to write who asks for what: "alice dev@web exec git pull". */
import type { Identity } from '../../src/auth/identity.ts'
import { UNRESTRICTED } from '../../src/auth/restrictions.ts'
import { type RuleInput, rules } from '../../src/config/rules.ts'
import type { ContainerSummary } from '../../src/engine/engine.ts'
import { compilePolicy } from '../../src/policy/policy.ts'
import type { Action, Decision, Request } from '../../src/policy/request.ts'

function person(name: string, more: Partial<Identity> = {}): Identity {
  const fingerprint = `SHA256:${name.padEnd(43, 'x')}`
  return {
    name,
    method: 'publickey',
    fingerprint,
    source: 'keys:1',
    groups: [],
    principals: [],
    restrictions: UNRESTRICTED,
    ...more,
  }
}

export const PEOPLE: Readonly<Record<string, Identity>> = {
  alice: person('alice', { groups: ['dev', 'staff'] }),
  bob: person('bob', { groups: ['ops'] }),
  carol: person('carol', { principals: ['web-admin', 'deploy'] }),
  dave: person('dave@corp.example', { groups: ['staff'] }),
  kim: person('kim', {
    restrictions: { ...UNRESTRICTED, pty: false, agentForwarding: false, permitOpen: [['db:5432']] },
  }),
  old: person('old', { restrictions: { ...UNRESTRICTED, expiresAt: 1 } }),
}

function container(name: string, image: string, labels: Record<string, string> = {}): ContainerSummary {
  return {
    id: name.padEnd(64, '0'),
    name,
    image,
    state: 'running',
    status: '',
    createdAt: 0,
    labels,
    ports: [],
    mounts: [],
  }
}

export const CONTAINERS: Readonly<Record<string, ContainerSummary>> = {
  web: container('web', 'shop/web:2', {
    team: 'blue',
    'com.docker.compose.project': 'shop',
    'com.docker.compose.service': 'web',
  }),
  db: container('db', 'postgres:16', { team: 'red', 'com.docker.compose.project': 'shop' }),
  'web-2': container('web-2', 'shop/web:3', { team: 'blue', tier: '' }),
  lone: container('lone', 'alpine'),
  'for-alice': container('for-alice', 'alpine', { 'hatchway.allow': 'alice' }),
  'for-dev': container('for-dev', 'alpine', { 'hatchway.allow': 'zoe,\n @de?  SHA256:nobody' }),
  'for-bobs-key': container('for-bobs-key', 'alpine', { 'hatchway.allow': `SHA256:${'bob'.padEnd(43, 'x')}` }),
  'for-nobody': container('for-nobody', 'alpine', { 'hatchway.allow': '' }),
  'for-all': container('for-all', 'alpine', { 'hatchway.allow': '*' }),
  'as-app': container('as-app', 'alpine', { 'hatchway.users': 'app, root' }),
  'as-any': container('as-any', 'alpine', { 'hatchway.users': '*' }),
}

/** As a container's passwd has them; toor is an alias of root, fake is a root that is none. */
const UIDS: Readonly<Record<string, number>> = { root: 0, toor: 0, dev: 1000, app: 1001, postgres: 70, '4242': 4242 }

/** Tuesday 2027-01-12, 12:00 UTC. */
export const NOON = new Date('2027-01-12T12:00:00Z')

export const ENGINE = 'unix:///var/run/docker.sock'

/** "alice dev@web exec git pull": who, as whom, where, what; without "dev@" only the container is asked for. */
export function request(line: string, from = '10.1.2.3'): Request {
  const [, who = '', user, where = '', what = '', rest = ''] =
    /^(\S+) (?:(\S+)@)?(\S+) (\S+)(?: (.*))?$/s.exec(line) ?? []
  const identity = PEOPLE[who]
  const target = CONTAINERS[where]
  if (!identity || !target) throw new Error(`no such row: ${line}`)
  return {
    identity,
    origin: { connectionId: 'c1', login: `${user}@${where}`, remote: { address: from, port: 50_000 } },
    container: target,
    ...(user !== undefined && { user: insideUser(user) }),
    action: action(what, rest),
  }
}

function insideUser(name: string) {
  const uid = UIDS[name] ?? 5000
  return { name, uid, gid: name === '4242' ? 0 : uid, known: name !== '4242' }
}

function action(what: string, rest: string): Action {
  const colon = rest.lastIndexOf(':')
  const [digits = '', bound] = rest.slice(colon + 1).split('=')
  const [host, port] = [rest.slice(0, colon), Number(digits)]
  switch (what) {
    case 'exec':
      return { kind: 'exec', command: Buffer.from(rest) }
    case 'env':
      return { kind: 'env', name: rest }
    case '-L':
      return { kind: 'forward-local', host, port }
    case '-R':
      return { kind: 'forward-remote', host, port, ...(bound !== undefined && { bound }) }
    case 'socket':
      return { kind: 'forward-socket', path: rest, direction: 'local' }
    case 'enter':
    case 'start':
    case 'debug':
    case 'shell':
    case 'sftp':
    case 'pty':
    case 'agent':
    case 'x11':
      return { kind: what }
  }
  throw new Error(`no such action: ${what}`)
}

export function decide(table: readonly RuleInput[] | undefined, line: string, from?: string, now = NOON): Decision {
  const settings = { rules: table && rules.parse(table), acceptEnv: ['LANG', 'LC_*'], engine: { endpoint: ENGINE } }
  return compilePolicy(settings)(request(line, from), now)
}

/** "+1": allowed by rule 1; "-2": refused by rule 2; "-": refused, as no rule applies; "+1r": to read only. */
export function short(decision: Decision): string {
  const by = decision.by.startsWith('rule ')
    ? (/\d+/.exec(decision.by)?.[0] ?? '')
    : decision.by === 'no rule'
      ? ''
      : ` ${decision.by}`
  return `${decision.allowed ? '+' : '-'}${by}${decision.allowed && decision.readOnly ? 'r' : ''}`
}
