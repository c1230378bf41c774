/** What `hatchway config check` finds, while it looks. */
import type { KeyPath } from '../config/layers.ts'

/** What a check found so far, each with the file and line of its key. */
export interface Complaints {
  /** `serve` would refuse it, or it keeps everybody out. */
  problem(key: KeyPath, text: string): void
  warn(key: KeyPath, text: string): void
}
