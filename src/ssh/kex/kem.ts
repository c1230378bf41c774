/** The two key encapsulation mechanisms, as a server sees them: a public key in, a ciphertext and a secret out. */
import { encapsulateMlkem768 } from './mlkem768.ts'
import { encapsulateSntrup761 } from './sntrup761.ts'

export interface Encapsulation {
  readonly ciphertext: Buffer
  readonly sharedSecret: Buffer
}

export interface Kem {
  readonly publicKeyLength: number
  /** Throws on a public key that is not one. Its length has been checked. */
  readonly encapsulate: (publicKey: Buffer) => Encapsulation
}

export const mlkem768: Kem = { publicKeyLength: 1184, encapsulate: encapsulateMlkem768 }
export const sntrup761: Kem = { publicKeyLength: 1158, encapsulate: encapsulateSntrup761 }
