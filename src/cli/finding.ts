/** The result of one check of `hatchway doctor`. */
export interface Finding {
  readonly check: string
  readonly state: 'ok' | 'warn' | 'fail'
  readonly found: string
  /** Of the ssh config: it has the containers as hosts. */
  readonly hasHosts?: true
  /** What to do; absent if all is well. */
  readonly advice?: string
}
