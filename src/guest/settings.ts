/** What the operator, or a test, decides about the guest road. */
import type { Instance } from '../base/instance.ts'

/** auto: the plain road where no helper can be had; require: GUEST_FAILED there; off: never. */
export type GuestMode = 'auto' | 'off' | 'require'

export interface GuestSettings {
  readonly mode: GuestMode
  /** Where the operator mounted the helper inside, absolute; tried first. */
  readonly mountedAt?: string
  /** A private folder of the gateway for the direct data path and the journal of deliveries; without it, neither. */
  readonly stateFolder?: string
  /** Of this process: its deliveries are let alone by other gateways with the same folder. */
  readonly instance?: Pick<Instance, 'id' | 'lives'>
  /** Take bytes past the engine where gateway and engine share a host; default true. */
  readonly direct?: boolean
  /** How long a helper must be in use for that, unless it moves much before; default 1 s. */
  readonly directAfterMs?: number
  /** Without a word from us for so long the helper ends its sessions; default 5 min. */
  readonly leaseMs?: number
  /** The container's shell says that it is there within; default 6 s. */
  readonly shellMs?: number
  /** A helper that was started says HELLO within; default 20 s. */
  readonly helloMs?: number
  /** From HUP to KILL; default 5 s. */
  readonly graceMs?: number
  /** An unused helper is sent away after; default 60 s. */
  readonly idleMs?: number
  /** Takes how long a delivery took, and the way; none: no way worked. */
  readonly delivered?: ((way: string, milliseconds: number) => void) | undefined
}
