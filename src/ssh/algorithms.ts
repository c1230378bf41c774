/** What we offer in KEXINIT, best first: no SHA-1, no CBC, no group exchange, no compression before authentication. */
import type { HostKeys } from './hostkeys.ts'
import { KEX_ALGORITHMS } from './kex/algorithms.ts'
import { ssh2 } from './ssh2.ts'

/** What the configuration may choose of. */
const CIPHERS: readonly string[] = [
  'aes128-gcm@openssh.com',
  'aes256-gcm@openssh.com',
  'aes128-ctr',
  'aes192-ctr',
  'aes256-ctr',
  'chacha20-poly1305@openssh.com',
]

const MACS = ['hmac-sha2-256-etm@openssh.com', 'hmac-sha2-512-etm@openssh.com', 'hmac-sha2-256', 'hmac-sha2-512']

/** kex-strict: the countermeasure to Terrapin (PROTOCOL §1.10). */
const STRICT = 'kex-strict-s-v00@openssh.com'

/** Algorithm lists of every connection, as ssh2's KexInit. Throws on a cipher that is unknown or unsafe. */
export function createOffer(hostKeys: HostKeys, ciphers: readonly string[]): object {
  const unknown = ciphers.find((name) => !CIPHERS.includes(name))
  if (unknown) throw new Error(`cipher "${unknown}" is not supported; there are ${CIPHERS.join(', ')}`)
  const direction = { cipher: ciphers, mac: MACS, compress: ['none', 'zlib@openssh.com'], lang: [] }
  return new ssh2.KexInit({
    kex: [...KEX_ALGORITHMS, STRICT],
    serverHostKey: Object.keys(hostKeys.byAlgorithm),
    cs: direction,
    sc: direction,
  })
}
