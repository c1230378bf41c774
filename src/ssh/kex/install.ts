/**
 * Adds the hybrid key exchanges to ssh2's server side at run time, and a cheaper X25519; no file of the package is edited,
 * and its client side is left alone.
 *
 * ssh2 makes its KeyExchange objects in a closed `switch` over known names. So when a client's KEXINIT would lead to a
 * hybrid, stock code negotiates it under a name it knows: the two names are exchanged in the client's list and in ours,
 * which changes no outcome, and a Curve25519 exchange comes out. That one object is then given the true name, the true
 * KEXINIT (it is hashed) and the hybrid's arithmetic. Everything else - packets, strict kex, signature, keys, rekey - is
 * ssh2's own, but for what is mended: see guessedRight() and order.ts.
 */
import { createRequire } from 'node:module'
import { HYBRIDS, type Hybrid } from './algorithms.ts'
import { assertNotTooLate, assertVersion } from './guard.ts'
import { answerHybrid, type HybridAnswer } from './hybrid.ts'
import {
  type AlgorithmOffer,
  KEX_INIT,
  KEXINIT,
  type KexModule,
  type KexProtocol,
  type KeyExchange,
  type ParserVerdict,
} from './internals.ts'
import { type ClientKexinit, readKexinit, withKexNames } from './kexinit.ts'
import { inOrder } from './order.ts'
import { inTurn } from './turn.ts'
import { x25519 } from './x25519.ts'

const load = createRequire(import.meta.url)

/** The name stock code negotiates in place of a hybrid's. */
const STAND_IN = 'curve25519-sha256'

/** On kex.js's exports, so that a second copy of this module (a test runner's, a bundle's) finds the work done. */
const INSTALLED = Symbol.for('hatchway.kex')

/** Before ssh2 loads lib/protocol/Protocol.js; throws a sentence otherwise. Further calls do nothing. */
export function installPostQuantumKex(): void {
  assertVersion(load)
  const kex: KexModule = load('ssh2/lib/protocol/kex.js')
  if (INSTALLED in kex) return
  assertNotTooLate(load)

  const { onKEXPayload } = kex
  kex.onKEXPayload = function (state, payload) {
    return inOrder(this, payload, (message) => {
      const stock = (shown: Buffer) => onKEXPayload.call(this, state, shown)
      if (state.firstPacket && message[0] === KEXINIT) return negotiate(this, message, stock)
      const isGuess = this._skipNextInboundPacket
      return message[0] === KEX_INIT && !isGuess ? inTurn(this, () => stock(message)) : stock(message)
    })
  }
  const handleKexInit = kex.HANDLERS[KEXINIT]
  if (!handleKexInit) throw new Error('ssh2 has no handler for KEXINIT: it is not the 1.17.0 that was published')
  kex.HANDLERS[KEXINIT] = (protocol, payload) => {
    const verdict = negotiate(protocol, payload, (message) => handleKexInit(protocol, message))
    // The rest of a re-key goes to the function that was wrapped above, past the wrapper.
    const decipher = protocol._decipher
    const stock = decipher._onPayload
    decipher._onPayload = (next) => inOrder(protocol, next, stock)
    return verdict
  }
  Object.defineProperty(kex, INSTALLED, { value: true })
}

function negotiate(protocol: KexProtocol, message: Buffer, stock: (message: Buffer) => ParserVerdict): ParserVerdict {
  const client = protocol._server ? readKexinit(message) : undefined
  if (!client) return stock(message)
  const offer = protocol._offer
  const name = client.kex.find((candidate) => offer.lists.kex.array.includes(candidate)) ?? ''
  const hybrid = HYBRIDS.get(name)

  const shown = hybrid ? withKexNames(message, exchanged(client.kex, name)) : message
  if (hybrid) protocol._offer = disguisedOffer(offer, name)
  let verdict: ParserVerdict
  try {
    verdict = stock(shown)
  } finally {
    protocol._offer = offer
  }
  const exchange = protocol._kex
  // If not this message's exchange, negotiation failed and stock code has ended the connection.
  if (exchange?._remoteKexinit !== shown) return verdict
  if (hybrid) {
    exchange._remoteKexinit = message
    becomeHybrid(exchange, name, hybrid)
  } else if (exchange.type === '25519') {
    answerWith(exchange, (clientShare) => {
      const { publicKey, sharedSecret } = x25519(clientShare)
      return { share: publicKey, secret: mpint(sharedSecret) }
    })
  }
  protocol._skipNextInboundPacket = client.guessFollows && !guessedRight(client, offer)
  return verdict
}

/**
 * RFC 4253, 7: the guess is right if both sides prefer the same exchange and the same host key; a wrong one is passed
 * over. Stock code compares with a value it has just overwritten, takes every guess for wrong, and so leaves a client
 * that guessed right waiting for ever.
 */
function guessedRight(client: ClientKexinit, { lists }: AlgorithmOffer): boolean {
  return client.kex[0] === lists.kex.array[0] && client.serverHostKey[0] === lists.serverHostKey.array[0]
}

function becomeHybrid(exchange: KeyExchange, name: string, hybrid: Hybrid): void {
  exchange.negotiated.kex = name
  exchange.type = name
  exchange.hashName = hybrid.hash
  // Stock code strips leading zeros from public keys and makes K an mpint; a hybrid's shares and K are strings.
  exchange.convertPublicKey = (share) => share
  answerWith(exchange, (clientShare) => answerHybrid(hybrid, clientShare))
}

function answerWith(exchange: KeyExchange, answer: (clientShare: Buffer) => HybridAnswer): void {
  let serverShare: Buffer = Buffer.alloc(0)
  exchange.getPublicKey = () => serverShare
  exchange.computeSecret = (clientShare) => {
    try {
      const { share, secret } = answer(clientShare)
      serverShare = share
      return secret
    } catch (error) {
      return error instanceof Error ? error : new Error('the exchange failed', { cause: error })
    }
  }
}

/** RFC 4251 §5: no leading zeros but the one that keeps it positive. */
function mpint(bytes: Buffer): Buffer {
  const start = bytes.findIndex((byte) => byte !== 0)
  const digits = bytes.subarray(start)
  return (digits[0] ?? 0) & 0x80 ? Buffer.concat([Buffer.of(0), digits]) : digits
}

/** A view of the offer for negotiation only: what goes on the wire comes from copyAllTo(), which it leaves alone. */
function disguisedOffer(offer: AlgorithmOffer, name: string): AlgorithmOffer {
  const { kex, ...lists } = offer.lists
  const disguised = { ...lists, kex: { ...kex, array: exchanged(kex.array, name) } }
  return Object.create(offer, { lists: { value: disguised } })
}

function exchanged(names: readonly string[], name: string): string[] {
  return names.map((other) => (other === name ? STAND_IN : other === STAND_IN ? name : other))
}
