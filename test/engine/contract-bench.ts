/** What the contract's tests stand on: an engine, and a container of it. */
import type { Engine } from '../../src/engine/engine.ts'

/** What a driver's tests stand on: the engine under test, and its CLI to do things to containers behind its back. */
export interface Ground {
  readonly engine: Engine
  control(...args: string[]): Promise<string>
  /** Where `control run` does not make them: one of busybox that runs, with these options of `docker run`. */
  container?(name: string, options: readonly string[]): Promise<{ id: string; name: string }>
  /** Absent: it is on this host. */
  readonly local?: boolean
  /** What the way to a program may hold of input that it does not read; absent: 16 MB. */
  readonly heldInputBytes?: number
  /** What the engine calls a container that was made with this name; absent: just so. */
  nameOf?(name: string): string
  close(): Promise<void>
}

/** A long-running container of busybox for one group of tests. */
export interface Bench {
  readonly engine: Engine
  readonly ground: Ground
  readonly id: string
  readonly name: string
  /** One more, removed at the end. */
  container(...args: string[]): Promise<{ id: string; name: string }>
}

export type Promised = (name: string, test: (bench: Bench) => Promise<void>, limit?: number) => void
