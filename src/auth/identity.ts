/** Who a connection is, once authenticated. */
export interface Identity {
  /** For people: the key's comment, else its fingerprint. Not unique, not for decisions. */
  readonly name: string
  /** "SHA256:...", as ssh-keygen -l prints it. */
  readonly fingerprint: string
  readonly keyComment: string
  /** Where the key is authorised: "FILE:LINE". */
  readonly source: string
}
