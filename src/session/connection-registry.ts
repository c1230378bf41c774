/** The logins that are connected now: whose, from where, since when, what each is used for, and how much has passed. */
import { type ContainerFacts, containerFacts, type ProvedName, type Whose } from '../base/connection-facts.ts'
import { asHatchwayError } from '../base/errors.ts'
import { clientText } from '../base/printable.ts'
import { type Bytes, sumOfTraffic, Traffic } from '../bytes/traffic.ts'
import type { ForwardBook, ForwardFacts } from '../forward/book.ts'
import type { ForwardFailure } from '../forward/forward-events.ts'
import { onAbort } from '../lifetime/on-abort.ts'
import type { Endpoint, SshConnection } from '../ssh/connection.ts'
import type { SessionRegistry, SessionSnapshot } from './registry.ts'

/** What is known of a login from its beginning. */
export interface LoginFacts {
  readonly connectionId: string
  readonly identity: { readonly name: string; readonly fingerprint: string }
  readonly remote: Endpoint
  /** What the client logged in as: "dev@web". Client text. */
  readonly login: string
  /** Milliseconds since the epoch. */
  readonly connectedAt: number
}

export interface ListenerSnapshot extends ForwardFacts {
  readonly openedAt: number
  readonly endedAt?: number
}

export interface ForwardSnapshot extends ListenerSnapshot {
  readonly bytesIn: number
  readonly bytesOut: number
}

export interface ConnectionSnapshot extends LoginFacts {
  /** Where it leads. Absent: to the gateway itself, or nothing was found, made or chosen yet. */
  readonly container?: ContainerFacts
  /** The last byte of a session or forward, or when one began or ended. */
  readonly activeAt: number
  /** Of all its sessions and forwards, also those that ended. */
  readonly bytesIn: number
  readonly bytesOut: number
  readonly sessions: readonly SessionSnapshot[]
  readonly forwards: readonly ForwardSnapshot[]
  readonly listeners: readonly ListenerSnapshot[]
}

export type ForwardEvent =
  | {
      readonly type: 'forward-opened' | 'forward-ended'
      readonly whose: Whose
      readonly forward: ForwardSnapshot
    }
  | {
      readonly type: 'listener-opened' | 'listener-ended'
      readonly whose: Whose
      readonly listener: ListenerSnapshot
    }

const BY_ADMINISTRATOR = 'ended by the administrator'
/** How long the sessions of a connection that is ended may take to tell their client why. */
const END_MS = 3_000
/** For a client to read why its session ended: a ControlMaster that is disconnected shows nothing more. */
const READ_MS = 250

export class ConnectionRegistry {
  readonly #live = new Map<string, Login>()
  /** A forward may end after its connection did. */
  readonly #forwarded: Forwarded = { past: new Traffic(), live: new Map(), listeners: new Set() }
  /** By the signal of its end, which a connection has before its login is over. */
  readonly #places = new WeakMap<AbortSignal, ContainerFacts>()
  readonly #emit: (event: ForwardEvent | ForwardFailure) => void
  readonly #demandRecord: DemandRecord
  readonly #sessions: Pick<SessionRegistry, 'list' | 'kill'>

  /** @param demandRecord whether what they do could be recorded, where it must be; throws where not */
  constructor(
    sessions: Pick<SessionRegistry, 'list' | 'kill'>,
    emit: (event: ForwardEvent | ForwardFailure) => void = () => {},
    demandRecord: DemandRecord = () => {},
  ) {
    this.#sessions = sessions
    this.#emit = emit
    this.#demandRecord = demandRecord
  }

  get size(): number {
    return this.#live.size
  }

  /** Bytes of all forwards, also of those that ended. */
  forwardTraffic(): Bytes {
    return sumOfTraffic([this.#forwarded.past, ...this.#forwarded.live.keys()])
  }

  /** Of all connections. */
  forwards(): Iterable<ForwardFacts> {
    return this.#forwarded.live.values()
  }

  listeners(): Iterable<ForwardFacts> {
    return this.#forwarded.listeners
  }

  /** Until the connection is closed. */
  open(connection: Pick<SshConnection<ProvedName>, LoginKeys>): ForwardBook {
    const login = new Login(connection, this.#forwarded, this.#emit, this.#demandRecord)
    this.#live.set(connection.id, login)
    onAbort(connection.closed, () => this.#live.delete(connection.id))
    return login
  }

  /** Said at the login, and by what makes or chooses a container later. */
  leadsTo(closed: AbortSignal, container: ContainerFacts): void {
    this.#places.set(closed, containerFacts(container))
  }

  /** Oldest first. */
  list(): ConnectionSnapshot[] {
    const sessions = this.#sessions.list()
    return [...this.#live.values()].map((login) => {
      const container = this.#places.get(login.closed)
      const own = sessions.filter(({ connectionId }) => connectionId === login.facts.connectionId)
      return { ...login.snapshot(own), ...(container && { container }) }
    })
  }

  /** Its sessions are told why, then it ends. False: there is no such connection. */
  kill(id: string, why = BY_ADMINISTRATOR): boolean {
    const login = this.#live.get(id)
    if (!login) return false
    login.leave(`hatchway: connection ${why}`)
    for (const session of this.#sessions.list()) if (session.connectionId === id) this.#sessions.kill(session.id, why)
    return true
  }

  sessionOpened(session: SessionSnapshot): void {
    this.#live.get(session.connectionId)?.sessionOpened()
  }

  sessionEnded(session: SessionSnapshot): void {
    this.#live.get(session.connectionId)?.sessionEnded(session)
  }
}

type DemandRecord = (identity: ProvedName) => void

type LoginKeys = 'id' | 'identity' | 'remote' | 'user' | 'host' | 'closed' | 'disconnect' | 'leaving'

interface Forwarded {
  readonly past: Traffic
  readonly live: Map<Traffic, ForwardFacts>
  readonly listeners: Set<ForwardFacts>
}

class Login implements ForwardBook {
  readonly facts: LoginFacts
  readonly #whose: Whose
  readonly #connection: Pick<SshConnection<unknown>, 'closed' | 'disconnect' | 'leaving'>
  readonly #emit: (event: ForwardEvent | ForwardFailure) => void
  readonly #demandRecord: DemandRecord
  readonly #forwarded: Forwarded
  /** Of what has ended. */
  readonly #past = new Traffic()
  readonly #forwards = new Map<ListenerSnapshot, Traffic>()
  readonly #listeners = new Set<ListenerSnapshot>()
  #sessions = 0
  #isLeaving = false
  #isRefusing = false
  #sentence = ''

  constructor(
    connection: Pick<SshConnection<ProvedName>, LoginKeys>,
    forwarded: Forwarded,
    emit: (event: ForwardEvent | ForwardFailure) => void,
    demandRecord: DemandRecord,
  ) {
    this.#forwarded = forwarded
    const { id, identity, remote, user, host } = connection
    const { name, fingerprint } = identity
    const connectedAt = this.#past.activeAt
    this.facts = {
      ...{ connectionId: id, identity: { name, fingerprint }, remote },
      ...{ login: clientText(user), connectedAt },
    }
    const { login } = this.facts
    this.#whose = { connectionId: id, remote, identity, login, ...(host !== undefined && { host }) }
    this.#connection = connection
    this.#emit = emit
    this.#demandRecord = demandRecord
  }

  demand({ kind, place, container, user }: ForwardFacts): void {
    try {
      this.#demandRecord(this.#whose.identity)
      this.#isRefusing = false
    } catch (error) {
      const { code, message } = asHatchwayError(error)
      // Programs inside may come again and again, and what can be kept has a bound: the first one is told.
      if (!this.#isRefusing) {
        const about = { whose: this.#whose, kind, place: clientText(place), container, user }
        this.#emit({ type: 'forward-failed', ...about, code, reason: message, error })
      }
      this.#isRefusing = true
      throw error
    }
  }

  opened(forward: ForwardFacts, traffic: Traffic): () => void {
    const opened = { ...forward, place: clientText(forward.place), openedAt: Date.now() }
    this.#forwards.set(opened, traffic)
    this.#forwarded.live.set(traffic, opened)
    this.#past.activeAt = opened.openedAt
    this.#emit({ type: 'forward-opened', whose: this.#whose, forward: withTraffic(opened, traffic) })
    return () => {
      if (!this.#forwards.delete(opened)) return
      this.#add(traffic)
      this.#forwarded.live.delete(traffic)
      this.#forwarded.past.addIn(traffic.bytesIn)
      this.#forwarded.past.addOut(traffic.bytesOut)
      const forward = withTraffic({ ...opened, endedAt: Date.now() }, traffic)
      this.#emit({ type: 'forward-ended', whose: this.#whose, forward })
    }
  }

  listening(listener: ForwardFacts): () => void {
    const opened = { ...listener, place: clientText(listener.place), openedAt: Date.now() }
    this.#listeners.add(opened)
    this.#forwarded.listeners.add(opened)
    this.#emit({ type: 'listener-opened', whose: this.#whose, listener: opened })
    return () => {
      if (!this.#listeners.delete(opened)) return
      this.#forwarded.listeners.delete(opened)
      const listener = { ...opened, endedAt: Date.now() }
      this.#emit({ type: 'listener-ended', whose: this.#whose, listener })
    }
  }

  sessionOpened(): void {
    this.#sessions++
    this.#past.activeAt = Date.now()
  }

  sessionEnded(session: SessionSnapshot): void {
    this.#sessions--
    this.#add(session)
    if (this.#isLeaving && this.#sessions === 0) this.#disconnect(READ_MS)
  }

  get closed(): AbortSignal {
    return this.#connection.closed
  }

  leave(sentence: string): void {
    if (this.#isLeaving) return
    this.#isLeaving = true
    this.#sentence = sentence
    // A client whose session has ended is often the first to leave.
    this.#connection.leaving(sentence)
    this.#disconnect(this.#sessions === 0 ? 0 : END_MS)
  }

  snapshot(sessions: readonly SessionSnapshot[]): ConnectionSnapshot {
    const forwards = [...this.#forwards].map(([forward, traffic]) => withTraffic(forward, traffic))
    const all = [...sessions, ...this.#forwards.values()]
    const sum = (of: 'bytesIn' | 'bytesOut') => all.reduce((total, each) => total + each[of], this.#past[of])
    return {
      ...this.facts,
      activeAt: Math.max(this.#past.activeAt, ...all.map(({ activeAt }) => activeAt)),
      bytesIn: sum('bytesIn'),
      bytesOut: sum('bytesOut'),
      sessions,
      forwards,
      listeners: [...this.#listeners],
    }
  }

  #add({ bytesIn, bytesOut }: Pick<Traffic, 'bytesIn' | 'bytesOut'>): void {
    this.#past.addIn(bytesIn)
    this.#past.addOut(bytesOut)
  }

  #disconnect(afterMs: number): void {
    const timer = setTimeout(() => this.#connection.disconnect(this.#sentence), afterMs).unref()
    onAbort(this.#connection.closed, () => clearTimeout(timer))
  }
}

function withTraffic(forward: ListenerSnapshot, { bytesIn, bytesOut }: Traffic): ForwardSnapshot {
  return { ...forward, bytesIn, bytesOut }
}
