/** One live helper per (container's run, user): delivered at the first need, shared, ended when idle. */
import type { Container, Engine } from '../engine/engine.ts'
import type { Guest } from './guest.ts'

/** auto: the plain road where no helper can be had; require: GUEST_FAILED there; off: never. */
export type GuestMode = 'auto' | 'off' | 'require'

/** Who runs inside. Resolved by EnvInfo, never text of a client. */
export interface GuestUser {
  /** As ExecSpec.user: a name (brings its supplementary groups), "uid" or "uid:gid". */
  readonly exec: string
  readonly uid: number
  readonly gid: number
}

export interface GuestSettings {
  readonly mode: GuestMode
  /** Where the operator mounted the helper inside, absolute; tried first. */
  readonly mountedAt?: string
  /** A private folder of the gateway for the direct data path and the journal of deliveries; without it, neither. */
  readonly stateFolder?: string
  /** Take bytes past the engine where gateway and engine share a host; default true. */
  readonly direct?: boolean
  /** Without a PING for so long the helper ends its sessions; default 60 s. */
  readonly leaseMs?: number
  /** From HUP to KILL; default 5 s. */
  readonly graceMs?: number
  /** An unused helper is sent away after; default 60 s. */
  readonly idleMs?: number
}

/** pino's shape; fields first. */
export interface GuestLog {
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
}

/** For `hatchway doctor`. */
export interface GuestReport {
  /** The way the helper got (or would get) in; undefined: the plain road. */
  readonly way: string | undefined
  /** Ways tried before it, and why they failed. */
  readonly failed: readonly { readonly way: string; readonly reason: string }[]
  /** "direct" with the reason why it is possible, or "exec stream" and why not. */
  readonly dataPath: { readonly direct: boolean; readonly reason: string }
}

export interface GuestPool {
  /**
   * The live helper for this user of this run of the container, delivered if need be (concurrent callers share one
   * delivery). Undefined: none can be had, take the plain road; with mode require: throws GUEST_FAILED.
   */
  acquire(container: Container, user: GuestUser, signal: AbortSignal): Promise<Guest | undefined>
  explain(container: Container, user: GuestUser, signal: AbortSignal): Promise<GuestReport>
  /** Ends every helper (their sessions are hung up) and removes what is outside; idempotent. */
  close(): Promise<void>
}

export function createGuestPool(_engine: Engine, _settings: GuestSettings, _log: GuestLog): GuestPool {
  throw new Error('not yet')
}
