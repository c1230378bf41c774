/** What of ssh2 1.17.0 the key exchange stands on: private names of lib/protocol/kex.js and Protocol.js, as found there. */

/** Negative, false or Infinity: ssh2's parsers pass on what a packet's handler returned. */
export type ParserVerdict = number | boolean | undefined

/** kex.js, class KeyExchange; finish() calls these methods in the order convertPublicKey, computeSecret, getPublicKey. */
export interface KeyExchange {
  negotiated: { kex: string }
  /** Names the exchange in errors. */
  type: string
  hashName: string
  /** The client's KEXINIT as it will be hashed. */
  _remoteKexinit: Buffer | undefined
  convertPublicKey: (share: Buffer) => Buffer
  /** K as finish() hashes it: a length, then these bytes. An Error returned ends the connection. */
  computeSecret: (share: Buffer) => Buffer | Error
  getPublicKey: () => Buffer
}

/** kex.js, class KexInit: what is offered. copyAllTo() is what goes on the wire; negotiation reads `array`. */
export interface Offer {
  readonly lists: {
    readonly kex: { readonly array: readonly string[] }
    readonly serverHostKey: { readonly array: readonly string[] }
  }
}

export interface KexProtocol {
  readonly _server: boolean
  _offer: Offer
  readonly _kex: KeyExchange | undefined
  /** The client guessed wrong: its next message is to be passed over. */
  _skipNextInboundPacket: boolean
}

export interface KexModule {
  /** Every packet of an exchange. `firstPacket` is true until the KEXINIT of the connection's first exchange. */
  onKEXPayload: (this: KexProtocol, state: { readonly firstPacket: boolean }, payload: Buffer) => ParserVerdict
  /** By message number. Has KEXINIT alone: that of a rekey, which comes by the ordinary road. */
  readonly HANDLERS: Record<number, ((protocol: KexProtocol, payload: Buffer) => ParserVerdict) | undefined>
}

/** SSH_MSG_KEXINIT */
export const KEXINIT = 20
