/** The live sessions of this gateway and the last ones that ended: who, where, as whom, how much, how it ended. */

import { randomBytes } from 'node:crypto'
import type { ContainerFacts } from '../base/connection-facts.ts'
import { Counts } from '../base/counts.ts'
import { type FailureCode, HatchwayError } from '../base/errors.ts'
import type { ExitStatus } from '../base/program.ts'
import { type Bytes, sumOfTraffic, Traffic } from '../bytes/traffic.ts'
import { deferred } from '../lifetime/deferred.ts'
import { onAbort } from '../lifetime/on-abort.ts'
import type { Endpoint } from '../ssh/connection.ts'

/** What is known when a session is opened. */
export interface SessionFacts {
  readonly connectionId: string
  /** As in its log lines: Identity.name and fingerprint. */
  readonly identity: { readonly name: string; readonly fingerprint: string }
  readonly remote: Endpoint
  readonly container: ContainerFacts
  /** The user inside. */
  readonly user: string
  readonly start: 'shell' | 'exec' | 'subsystem'
  /** Command text or subsystem name. Kept in memory and shown over the control socket only: it may hold secrets. */
  readonly command?: string
  readonly tty: boolean
}

export type SessionState = 'created' | 'running' | 'stopped'

/** How it ended: the program's own end, or a failure of ours. */
export type SessionEnd = ExitStatus | { readonly failure: FailureCode; readonly message: string }

export interface SessionSnapshot extends SessionFacts {
  readonly id: string
  readonly state: SessionState
  /** Client to container. */
  readonly bytesIn: number
  readonly bytesOut: number
  /** Of the last byte, either way; at first, when it was opened. Milliseconds since the epoch. */
  readonly activeAt: number
  /** Milliseconds since the epoch. */
  readonly createdAt: number
  readonly runningAt?: number
  readonly stoppedAt?: number
  readonly end?: SessionEnd
}

export interface SessionRecord {
  readonly id: string
  running(): void
  addIn(bytes: number): void
  addOut(bytes: number): void
  /** The first end counts; idempotent. */
  end(end: SessionEnd): void
  /** Called with each sentence of the gateway's for the person at the terminal. */
  onNotice(callback: (sentence: string) => void): void
  /** Called once when an administrator or the shutdown ends it; at once if that has happened already. */
  onKill(callback: (reason: string) => void): void
  snapshot(): SessionSnapshot
}

/** Who keeps account of sessions besides. */
export interface SessionWatch {
  readonly opened?: (session: SessionSnapshot) => void
  readonly ended?: (session: SessionSnapshot) => void
}

const HISTORY = 200
/** A 256 KB command a session would be a lot of memory for a table cell. */
const MAX_COMMAND_CHARACTERS = 4096

export class SessionRegistry {
  readonly #live = new Map<string, Entry>()
  readonly #stopped: SessionSnapshot[] = []
  readonly #idle = new Set<() => void>()
  readonly #perIdentity = new Counts()
  /** Of those that ended. */
  readonly #past = new Traffic()
  readonly #watch: SessionWatch
  #closed = false

  constructor(watch: SessionWatch = {}) {
    this.#watch = watch
  }

  get size(): number {
    return this.#live.size
  }

  /** Those whose program does not run yet. */
  get starting(): number {
    return [...this.#live.values()].filter((entry) => entry.isStarting).length
  }

  /** Bytes of all its sessions, also of those that ended. */
  traffic(): Bytes {
    return sumOfTraffic([this.#past, ...[...this.#live.values()].map((entry) => entry.traffic)])
  }

  /** From now on `open` throws: the gateway is going. */
  refuseNew(): void {
    this.#closed = true
  }

  /**
   * `perIdentity`: how many an identity may have, 0: any number.
   * @throws HatchwayError SESSION_KILLED during a shutdown, TOO_MANY_SESSIONS
   */
  open(facts: SessionFacts, perIdentity = 0): SessionRecord {
    if (this.#closed) throw new HatchwayError('SESSION_KILLED', 'the gateway is shutting down')
    const { name } = facts.identity
    const leave = this.#perIdentity.take(name, perIdentity)
    if (!leave) {
      throw new HatchwayError(
        'TOO_MANY_SESSIONS',
        `${name} has ${perIdentity} session${perIdentity === 1 ? '' : 's'} already, and may have no more`,
      )
    }
    const kept =
      facts.command === undefined ? facts : { ...facts, command: facts.command.slice(0, MAX_COMMAND_CHARACTERS) }
    const entry = new Entry(this.#freshId(), kept, (session) => {
      leave()
      this.#remember(session)
    })
    this.#live.set(entry.id, entry)
    this.#watch.opened?.(entry.snapshot())
    return entry
  }

  /** Live sessions, oldest first; with `stopped`, those that ended as well (bounded). */
  list(options: { readonly stopped?: boolean } = {}): SessionSnapshot[] {
    const live = [...this.#live.values()].map((entry) => entry.snapshot())
    return options.stopped ? [...this.#stopped, ...live] : live
  }

  /** Ask the session to end; false when there is no live session of that id. Its end comes through `end()`. */
  kill(id: string, reason = 'ended by the administrator'): boolean {
    const entry = this.#live.get(id)
    entry?.kill(reason)
    return entry !== undefined
  }

  /** A sentence for who sits at a terminal, in the middle of whatever it shows. */
  tellAll(sentence: string, whom: (session: SessionFacts) => boolean = () => true): void {
    for (const entry of [...this.#live.values()]) if (whom(entry.snapshot())) entry.tell(sentence)
  }

  killAll(reason: string): void {
    for (const entry of [...this.#live.values()]) entry.kill(reason)
  }

  /** Resolves with true when no session is live, with false when the signal aborts before. */
  drained(signal: AbortSignal): Promise<boolean> {
    if (this.#live.size === 0) return Promise.resolve(true)
    const { promise, resolve } = deferred<boolean>()
    const idle = () => resolve(true)
    this.#idle.add(idle)
    const remove = onAbort(signal, () => resolve(false))
    return promise.finally(() => {
      this.#idle.delete(idle)
      remove()
    })
  }

  #remember(session: SessionSnapshot): void {
    this.#live.delete(session.id)
    this.#past.addIn(session.bytesIn)
    this.#past.addOut(session.bytesOut)
    this.#stopped.push(session)
    if (this.#stopped.length > HISTORY) this.#stopped.shift()
    this.#watch.ended?.(session)
    if (this.#live.size === 0) for (const idle of [...this.#idle]) idle()
  }

  /** Random, not counted: an id noted before a restart must not name another session after it. */
  #freshId(): string {
    for (;;) {
      const id = randomBytes(4).toString('hex')
      if (!this.#live.has(id)) return id
    }
  }
}

class Entry implements SessionRecord {
  readonly id: string
  readonly #facts: SessionFacts
  readonly #stopped: (session: SessionSnapshot) => void
  readonly #createdAt = Date.now()
  #runningAt: number | undefined
  #stoppedAt: number | undefined
  #end: SessionEnd | undefined
  readonly traffic = new Traffic()
  #killed: string | undefined
  #onKill: ((reason: string) => void) | undefined
  #onNotice: ((sentence: string) => void) | undefined

  constructor(id: string, facts: SessionFacts, stopped: (session: SessionSnapshot) => void) {
    this.id = id
    this.#facts = facts
    this.#stopped = stopped
  }

  get isStarting(): boolean {
    return this.#runningAt === undefined
  }

  running(): void {
    if (this.#runningAt !== undefined || this.#end !== undefined) return
    this.#runningAt = Date.now()
  }

  addIn(bytes: number): void {
    this.traffic.addIn(bytes)
  }

  addOut(bytes: number): void {
    this.traffic.addOut(bytes)
  }

  end(end: SessionEnd): void {
    if (this.#end !== undefined) return
    this.#end = end
    this.#stoppedAt = Date.now()
    this.#onKill = undefined
    this.#onNotice = undefined
    this.#stopped(this.snapshot())
  }

  onKill(callback: (reason: string) => void): void {
    if (this.#end !== undefined) return
    if (this.#killed !== undefined) callback(this.#killed)
    else this.#onKill = callback
  }

  onNotice(callback: (sentence: string) => void): void {
    if (this.#end === undefined) this.#onNotice = callback
  }

  tell(sentence: string): void {
    this.#onNotice?.(sentence)
  }

  kill(reason: string): void {
    if (this.#killed !== undefined || this.#end !== undefined) return
    this.#killed = reason
    const callback = this.#onKill
    this.#onKill = undefined
    callback?.(reason)
  }

  snapshot(): SessionSnapshot {
    return {
      ...this.#facts,
      id: this.id,
      state: this.#end !== undefined ? 'stopped' : this.#runningAt !== undefined ? 'running' : 'created',
      bytesIn: this.traffic.bytesIn,
      bytesOut: this.traffic.bytesOut,
      activeAt: this.traffic.activeAt,
      createdAt: this.#createdAt,
      ...(this.#runningAt !== undefined && { runningAt: this.#runningAt }),
      ...(this.#stoppedAt !== undefined && { stoppedAt: this.#stoppedAt }),
      ...(this.#end !== undefined && { end: this.#end }),
    }
  }
}
