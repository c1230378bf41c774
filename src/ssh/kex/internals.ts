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
  /** H of the first exchange; undefined before that is over. */
  readonly sessionID: Buffer | undefined
  convertPublicKey: (share: Buffer) => Buffer
  /** K as finish() hashes it: a length, then these bytes. An Error returned ends the connection. */
  computeSecret: (share: Buffer) => Buffer | Error
  getPublicKey: () => Buffer
}

/** kex.js, class KexInit: what is offered. copyAllTo() is what goes on the wire; negotiation reads `array`. */
export interface AlgorithmOffer {
  readonly lists: {
    readonly kex: { readonly array: readonly string[] }
    readonly serverHostKey: { readonly array: readonly string[] }
  }
}

export interface KexProtocol {
  readonly _server: boolean
  _offer: AlgorithmOffer
  readonly _kex: KeyExchange | undefined
  /** The client guessed wrong: its next message is to be passed over. */
  _skipNextInboundPacket: boolean
  /** The first exchange is, or was, a strict one (PROTOCOL §1.10). */
  readonly _strictMode: boolean | undefined
  /** Undefined: a fatal error or DISCONNECT has ended the connection. */
  readonly _destruct: (() => void) | undefined
  readonly _packetRW: { read: PayloadReader }
  parse(chunk: Buffer, from: number, to: number): void
  /** Called until it has answered `to` or more. */
  _parse: (chunk: Buffer, from: number, to: number) => number
  /**
   * Ours, not ssh2's: calls `compute` at once or later. Absent: nobody waits.
   * @param kex which exchange it is
   */
  takeTurn?: (kex: string, compute: () => void) => void
  /** Takes all packets but those of a key exchange. */
  readonly _onPayload: (payload: Buffer) => ParserVerdict
  /** From NEWKEYS to NEWKEYS. */
  readonly _decipher: { _onPayload: (payload: Buffer) => ParserVerdict }
}

/** zlib.js: takes the compression off. Must see each packet once. */
export interface PayloadReader {
  read(payload: Buffer): Buffer
  cleanup(): void
}

export interface KexModule {
  /** Every packet of an exchange. `firstPacket` is true until the KEXINIT of the connection's first exchange. */
  onKEXPayload: (this: KexProtocol, state: { readonly firstPacket: boolean }, payload: Buffer) => ParserVerdict
  /** By message number. Has KEXINIT alone: that of a rekey, which comes by the ordinary road. */
  readonly HANDLERS: Record<number, ((protocol: KexProtocol, payload: Buffer) => ParserVerdict) | undefined>
}

/** SSH_MSG_KEXINIT */
export const KEXINIT = 20

/** SSH_MSG_KEXDH_INIT, SSH_MSG_KEX_ECDH_INIT, SSH_MSG_KEX_HYBRID_INIT */
export const KEX_INIT = 30
