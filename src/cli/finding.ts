/** The result of one check of `hatchway doctor`. */
export interface Finding {
  readonly check: string
  readonly state: 'ok' | 'warn' | 'fail'
  readonly found: string
  /** What to do; absent if all is well. */
  readonly advice?: string
}
