/** A key encapsulation mechanism, as a server sees it: a public key in, a ciphertext and a secret out. */
export interface Encapsulation {
  readonly ciphertext: Buffer
  readonly sharedSecret: Buffer
}

export interface Kem {
  readonly publicKeyLength: number
  /** Throws on a public key that is not one. Its length has been checked. */
  readonly encapsulate: (publicKey: Buffer) => Encapsulation
}
