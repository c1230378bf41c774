/** One thing that `hatchway doctor` looked at, and what came of it. */
export interface Finding {
  readonly check: string
  readonly state: 'ok' | 'warn' | 'fail'
  readonly found: string
  /** What to do; absent when all is well. */
  readonly advice?: string
}
