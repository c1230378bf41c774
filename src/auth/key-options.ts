/**
 * The options before a key, sshd(8) "AUTHORIZED_KEYS FILE FORMAT", by sshd's rules (auth-options.c, sshauthopt_parse).
 * Flags apply in the order written: `restrict` takes all, flags after it give back. At most one command=, from= and
 * principals= may stand there; the first environment= of a name and the earliest expiry-time= count. An unknown option
 * refuses the line: it may have been a restriction.
 */
import { parseAbsoluteTime } from './absolute-time.ts'
import { type Restrictions, UNRESTRICTED } from './restrictions.ts'

export interface KeyOptions {
  readonly restrictions: Restrictions
  /** from=: an address list. */
  readonly from?: string
  /** The key is an authority whose certificates are accepted. */
  readonly certAuthority: boolean
  /** principals=: a certificate must have one of them. */
  readonly principals?: readonly string[]
}

export const NO_OPTIONS: KeyOptions = { restrictions: UNRESTRICTED, certAuthority: false }

type Mutable<T> = { -readonly [K in keyof T]: T[K] }
interface Draft {
  readonly restrictions: Mutable<Restrictions>
  readonly options: Mutable<Omit<KeyOptions, 'restrictions'>>
}

/** Options without a value; `on` is false for the "no-" form. */
const FLAGS: Readonly<Record<string, (draft: Draft, on: boolean) => void>> = {
  'port-forwarding': ({ restrictions }, on) => {
    restrictions.portForwarding = on
  },
  'agent-forwarding': ({ restrictions }, on) => {
    restrictions.agentForwarding = on
  },
  'x11-forwarding': ({ restrictions }, on) => {
    restrictions.x11Forwarding = on
  },
  pty: ({ restrictions }, on) => {
    restrictions.pty = on
  },
  'touch-required': ({ restrictions }, on) => {
    restrictions.touchRequired = on
  },
  'verify-required': ({ restrictions }, on) => {
    restrictions.verifyRequired = on
  },
  // ~/.ssh/rc is never run here.
  'user-rc': () => {},
}

/** Options without a value and without a "no-" form. */
const SWITCHES: Readonly<Record<string, (draft: Draft) => void>> = {
  restrict: ({ restrictions }) => {
    Object.assign(restrictions, { pty: false, portForwarding: false, agentForwarding: false, x11Forwarding: false })
  },
  'cert-authority': ({ options }) => {
    options.certAuthority = true
  },
}

/** Options with a value; each function returns what is wrong with the value, or undefined. */
const VALUES: Readonly<Record<string, (draft: Draft, value: string) => string | undefined>> = {
  command: ({ restrictions }, value) => {
    if (restrictions.command !== undefined) return 'more than one command='
    restrictions.command = value
    return undefined
  },
  principals: ({ options }, value) => {
    if (options.principals) return 'more than one principals='
    options.principals = value.split(',').filter((name) => name !== '')
    return undefined
  },
  from: ({ options }, value) => {
    if (options.from !== undefined) return 'more than one from='
    options.from = value
    return undefined
  },
  'expiry-time': ({ restrictions }, value) => {
    const time = parseAbsoluteTime(value)
    if (time === undefined) return 'an expiry-time= that is no time'
    restrictions.expiresAt = Math.min(time, restrictions.expiresAt ?? time)
    return undefined
  },
  environment: ({ restrictions }, value) => {
    const name = /^([A-Za-z0-9_]+)=/.exec(value)?.[1]
    if (name === undefined) return 'an environment= that is not NAME=value'
    if (restrictions.environment.length > MAX_ENVIRONMENT) return 'too many environment='
    if (restrictions.environment.some((set) => set.startsWith(`${name}=`))) return undefined
    restrictions.environment = [...restrictions.environment, value]
    return undefined
  },
  permitopen: ({ restrictions }, value) => {
    if (!isPermit(value)) return 'a permitopen= that is not HOST:PORT'
    const ports = [...(restrictions.permitOpen?.[0] ?? []), value]
    restrictions.permitOpen = [ports]
    return tooMany(ports)
  },
  permitlisten: ({ restrictions }, value) => {
    const permit = value.includes(':') ? value : `*:${value}`
    if (!isPermit(permit)) return 'a permitlisten= that is not [HOST:]PORT'
    const ports = [...(restrictions.permitListen?.[0] ?? []), permit]
    restrictions.permitListen = [ports]
    return tooMany(ports)
  },
  // There are no tunnel devices here, but a value that sshd refuses is refused.
  tunnel: (_, value) => (/^(any|\d{1,9})$/i.test(value) ? undefined : 'a tunnel= that is no device'),
}

const MAX_ENVIRONMENT = 1024
const MAX_PERMITS = 4096

/** Returns where the options end: the first blank outside of quotes (authfile.c); undefined if a quote stays open. */
export function optionsLength(line: string): number | undefined {
  let quoted = false
  let at = 0
  for (; at < line.length && (quoted || (line[at] !== ' ' && line[at] !== '\t')); at++) {
    if (line[at] === '\\' && line[at + 1] === '"') at++
    else if (line[at] === '"') quoted = !quoted
  }
  return quoted ? undefined : Math.min(at, line.length)
}

/** `text` must have no blank outside of quotes. Returns a sentence if something is wrong. */
export function parseKeyOptions(text: string): KeyOptions | string {
  const draft: Draft = { restrictions: { ...UNRESTRICTED }, options: { certAuthority: false } }
  const option = /([A-Za-z0-9-]*)(?:=(?:"((?:\\"|\\(?!")|[^"\\])*)")?)?/y
  while (option.lastIndex < text.length) {
    const match = option.exec(text)
    const [written = '', name = '', value] = match ?? []
    const fault = written === '' ? undefined : apply(draft, name.toLowerCase(), value, written.includes('='))
    if (fault !== undefined) return fault
    // An empty option between commas is ignored, as by sshd.
    if (option.lastIndex < text.length && text[option.lastIndex] !== ',')
      return `an option that cannot be read (${text.slice(option.lastIndex, option.lastIndex + 20)})`
    option.lastIndex++
  }
  if (draft.options.principals && !draft.options.certAuthority) return 'principals= without cert-authority'
  return { ...draft.options, restrictions: draft.restrictions }
}

function apply(draft: Draft, name: string, value: string | undefined, assigned: boolean): string | undefined {
  if (assigned) {
    const take = own(VALUES, name)
    if (!take) return `option ${name} is not known`
    return value === undefined ? `the value of ${name}= is not in quotes` : take(draft, value.replaceAll('\\"', '"'))
  }
  const negated = name.startsWith('no-')
  const flag = own(FLAGS, negated ? name.slice(3) : name)
  const set = flag ?? own(SWITCHES, name)
  if (!set) return `option ${name} is not known`
  set(draft, !negated)
  return undefined
}

/** Skips what every object inherits: "constructor" is no option. */
function own<T>(table: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(table, name) ? table[name] : undefined
}

/** HOST:PORT or [V6]:PORT, "*" for either (auth-options.c, handle_permit). */
function isPermit(value: string): boolean {
  const port = /^(?:\[[^\]]{0,1024}\]|(?!\[)[^:/]{0,1024})[:/](\*|\d{1,5})$/.exec(value)?.[1]
  return port !== undefined && (port === '*' || (Number(port) > 0 && Number(port) <= 65_535))
}

function tooMany(permits: readonly string[]): string | undefined {
  return permits.length > MAX_PERMITS ? 'too many permitopen= or permitlisten=' : undefined
}
