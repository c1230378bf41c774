/** One way for the helper into a container. Each is a file here; which are tried, and in what order, is deliver.ts. */
import type { Container, Engine } from '../../engine/engine.ts'
import type { GuestConnection } from '../connection.ts'
import type { Serve } from '../serve.ts'
import type { GuestUser } from '../user.ts'
import type { GuestBinary } from './binary.ts'
import type { Journal } from './journal.ts'

export interface Delivery {
  readonly engine: Engine
  readonly container: Container
  readonly user: GuestUser
  readonly binary: GuestBinary
  readonly mountedAt: string | undefined
  readonly journal: Journal
  /** Start `PATH serve` as the user and shake hands; only HELLO proves that a file was there and could run. */
  serve(argv: readonly [string, ...string[]], stdin?: Buffer): Promise<GuestConnection>
  /** The same as anybody, anywhere: for what must be done as root. */
  readonly serveAs: Serve
  /** Aborts when this way has had its time. */
  readonly signal: AbortSignal
}

export interface Way {
  readonly name: string
  /** Why this way cannot be tried here at all; undefined: try it. */
  hopeless(delivery: Pick<Delivery, 'engine' | 'container' | 'mountedAt'>): string | undefined
  /** This way may work, but is tried after the others, also where it worked before. */
  unlikely?(delivery: Pick<Delivery, 'container' | 'user'>): boolean
  /** Throws with the reason when it did not work, and leaves nothing behind then but what LeftRunning names. */
  deliver(delivery: Delivery): Promise<GuestConnection>
}
