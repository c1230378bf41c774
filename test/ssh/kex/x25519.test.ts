/** X25519: its results, and that a garbage collection at the worst moment does not freeze the process. */
import { createPublicKey, diffieHellman, generateKeyPairSync } from 'node:crypto'
import { execa } from 'execa'
import { expect, onTestFinished, test } from 'vitest'
import { x25519 } from '../../../src/ssh/kex/x25519.ts'
import { bundleProgram, PROJECT } from '../../support/bundle.ts'

test('both sides have one secret', () => {
  const peer = generateKeyPairSync('x25519')
  const raw = peer.publicKey.export({ format: 'der', type: 'spki' }).subarray(-32)
  const { publicKey, sharedSecret } = x25519(raw)
  const x = publicKey.toString('base64url')
  const theirs = createPublicKey({ format: 'jwk', key: { kty: 'OKP', crv: 'X25519', x } })
  expect(diffieHellman({ privateKey: peer.privateKey, publicKey: theirs })).toEqual(sharedSecret)
})

test('a low-order key of the peer is refused', () => {
  expect(() => x25519(Buffer.alloc(32))).toThrow()
})

/** A setter on every object's prototype collects garbage in the middle of what node:crypto does under a key's lock. */
const COLLECT = `
  for (const name of ['kty', 'crv', 'x', 'y', 'd', 'n', 'e'])
    Object.defineProperty(Object.prototype, name, {
      configurable: true,
      set(value) { gc(); Object.defineProperty(this, name, { value, writable: true, enumerable: true, configurable: true }) },
    })`

test('it ends where garbage is collected within it', async () => {
  const program = await bundleProgram(`
    import { x25519 } from '${PROJECT}/src/ssh/kex/x25519.ts'
    ${COLLECT}
    x25519(Buffer.alloc(32, 7))`)
  onTestFinished(program.remove)
  // A process of its own, as one that waits for a lock of its own waits for ever.
  await execa(process.execPath, ['--expose-gc', program.file], { timeout: 20_000 })
})
