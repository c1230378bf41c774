/** What was done to get at the admin page. What was done there is told of as it is from anywhere else, with its name. */
export interface AdminEvent {
  readonly type: 'admin'
  readonly act: 'token' | 'sign-in' | 'sign-out'
  /** The token's name. Absent: nobody's. */
  readonly by?: string
  readonly refused?: true
}
