/**
 * One SSH transport (RFC 4253) over any duplex stream: ssh2's Protocol with a better output path, backpressure, right
 * EXT_INFO, UNIMPLEMENTED, ping and automatic rekeying. Packets of the layers above are handed up as they are.
 */
import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { messageOf } from '../base/errors.ts'
import { clientText } from '../base/printable.ts'
import { SlabOutput } from '../bytes/batched-writer.ts'
import { listening } from '../bytes/shared-read-buffer.ts'
import type { ComputingShare } from './computing-share.ts'
import { ExchangeShare } from './exchange-share.ts'
import { IDENT } from './greeting.ts'
import type { HostKeys } from './hostkeys.ts'
import { clientFirst } from './kexinit-order.ts'
import type { LoginExchanges } from './login-exchanges.ts'
import { DisconnectReason, fields, isBug, MalformedPacket, Message, PacketReader, packet } from './packets.ts'
import { createProtocol, feed, holdBack, sendChannelData, sendPayload } from './protocol.ts'
import { SIGNATURE_ALGORITHMS } from './public-key.ts'
import { Rekeying, type RekeyLimit } from './rekey.ts'
import { MAX_PACKET_SIZE, type StockProtocol, ssh2 } from './ssh2.ts'

/**
 * Replies to a client that does not read them: above this we stop reading its requests, too. Not less than where the
 * output tells that it drained.
 */
const PAUSE_INPUT_BYTES = 1024 * 1024
const PAUSE_BEFORE_LOGIN_BYTES = 256 * 1024
/** Packets, and bytes of them, held back while a client delays its key exchange. */
const MAX_HELD_PACKETS = 10_000
const MAX_HELD_BYTES = 1024 * 1024
/**
 * Handled for one client before all others have their turn: a read of 256 KB may be seven thousand small packets, or hold
 * 200 MB compressed, and as long as reads are full libuv makes 32 of them in a row. Channel data never comes to that.
 */
const MAX_PACKETS_A_TURN = 256
const MAX_BYTES_A_TURN = 1024 * 1024
const KEX_TIMEOUT_MS = 120_000
const CLOSE_TIMEOUT_MS = 2_000

export interface TransportOptions {
  readonly stream: Duplex
  readonly hostKeys: HostKeys
  /** A KexInit of ssh2. */
  readonly offer: object
  readonly rekeyLimit: RekeyLimit
  /** Shared by all connections. */
  readonly exchanges: LoginExchanges
  /** Our identification has been sent. */
  readonly greeted: boolean
  /** A packet above the transport layer; CHANNEL_DATA is lent until it returns. What it throws ends the connection. */
  readonly packet: (type: number, payload: Buffer) => void
  /** What a client sent made code throw what no code throws on purpose. */
  readonly fault: (error: unknown) => void
  /** The stream is gone; `reason` for the log. Called once. */
  readonly closed: (reason: string) => void
}

export class Transport {
  readonly #stream: Duplex
  readonly #options: TransportOptions
  readonly #output: SlabOutput
  readonly #protocol: StockProtocol
  readonly #rekeying: Rekeying
  readonly #waiting = new Set<() => void>()
  #clientVersion = ''
  #reason: string | undefined
  #closed = false
  #lastPacket = Date.now()
  #authenticated = false
  /** Packets given to be sent while a key exchange is under way. */
  #heldBytes = 0
  readonly #share = new ExchangeShare(() => this.#drained())
  #turnPackets = 0
  #turnBytes = 0
  /** Others have their turn, and the client is not heard. */
  #isInterrupted = false
  /** Set while the first key exchange waits for its turn, and the client is not heard. */
  #giveUpTurn: (() => void) | undefined

  constructor(options: TransportOptions) {
    const heard = (data: Buffer) => this.#received(data)
    const stream = listening(options.stream, options.stream instanceof Socket ? clientFirst(heard) : heard)
    this.#stream = stream
    this.#options = options
    this.#output = new SlabOutput(stream, () => this.#drained())
    this.#protocol = createProtocol({
      ident: IDENT,
      greeted: options.greeted,
      hostKeys: options.hostKeys,
      offer: options.offer,
      output: this.#output,
      identified: (version) => {
        this.#clientVersion = version
      },
      payload: (payload) => this.#payload(payload),
      takeTurn: (kex, compute) => this.#takeTurn(kex, compute),
      exchanged: () => this.#exchanged(),
      resumed: () => this.#drained(),
      disconnected: (reason, text) => this.#clientDisconnects(reason, text),
      // ssh2 has sent its own DISCONNECT by then.
      failed: (error) => {
        this.#reason ??= clientText(error.message)
        this.#end()
      },
    })
    this.#rekeying = new Rekeying(options.rekeyLimit, () => this.#startRekey())
    stream.on('error', (error) => this.destroy(error.message))
    stream.on('end', () => this.#ended())
    stream.on('close', () => this.#gone())
    this.#protocol.start()
  }

  /** Without "SSH-2.0-"; empty before the client said it. */
  get clientVersion(): string {
    return this.#clientVersion
  }

  /** H of the first key exchange, RFC 4253 §7.2. */
  get sessionId(): Buffer {
    return this.#protocol._kex?.sessionID ?? Buffer.alloc(0)
  }

  /** Of the last key exchange; empty before the first. */
  get hostKeyAlgorithm(): string {
    return this.#protocol._kex?.negotiated.serverHostKey ?? ''
  }

  /** When the client last sent a packet. */
  get lastPacket(): number {
    return this.#lastPacket
  }

  get closed(): boolean {
    return this.#closed
  }

  /** Channel data may be sent now; if not, wait with `whenWritable`. */
  get writable(): boolean {
    return !this.exchanging && !this.#output.congested
  }

  /** In a key exchange: no channel data may leave (RFC 4253 §7.1). */
  get exchanging(): boolean {
    return this.#protocol._kexinit !== undefined
  }

  whenWritable(waiter: () => void): void {
    this.#waiting.add(waiter)
  }

  /** Any small packet. During a key exchange it waits, in order. */
  send(payload: Buffer): void {
    if (this.closed) return
    sendPayload(this.#protocol, payload)
    this.#heldBytes = this.exchanging ? this.#heldBytes + payload.length : 0
    if ((this.#protocol._queue?.length ?? 0) > MAX_HELD_PACKETS || this.#heldBytes > MAX_HELD_BYTES)
      this.destroy('client delays the key exchange')
    if (this.#output.unsent > this.#pauseInput) this.#stream.pause()
  }

  /** Bytes of a channel, as sendChannelData() takes them. Only while `writable`. */
  sendData(recipient: number, fd: 1 | 2, length: number, fill: (target: Buffer, at: number) => void): void {
    sendChannelData(this.#protocol, recipient, fd, length, fill)
    this.#rekeying.count(this.#output.bytes, this.#output.pieces)
  }

  /** What the client's key exchanges may cost, with those of others. */
  charge(share: ComputingShare): void {
    this.#share.charge(share)
  }

  /** The client is in: delayed compression starts, and limits of rekeying count. */
  authenticated(): void {
    this.#protocol._authsQueue.push('none')
    // Sends USERAUTH_SUCCESS and switches zlib@openssh.com on.
    this.#protocol.authSuccess()
    this.#authenticated = true
    this.#rekeying.start()
  }

  /** DISCONNECT with a sentence, then close. Idempotent. */
  disconnect(reason: number, message: string): void {
    if (this.closed) return
    this.#reason ??= message
    // At any time, also in the middle of a key exchange.
    sendPayload(this.#protocol, packet(Message.DISCONNECT, reason, message, ''), true)
    this.#end()
  }

  /** However it ends now: this is why. The first reason stays. */
  leaving(reason: string): void {
    this.#reason ??= reason
  }

  /** Close at once. */
  destroy(reason: string): void {
    this.#reason ??= reason
    this.#stream.destroy()
    this.#gone()
  }

  /** After NEWKEYS both ways, before anything else is sent: RFC 8308 §2.4 wants EXT_INFO first. */
  #exchanged(): void {
    const kex = this.#protocol._kex
    if (kex?.remoteExtInfoEnabled && !this.#rekeying.exchanged) {
      const extensions = fields('server-sig-algs', SIGNATURE_ALGORITHMS.join(','), 'ping@openssh.com', '0')
      this.send(packet(Message.EXT_INFO, 2, { raw: extensions }))
    }
    // ssh2 would send its own, in which two names run into each other.
    if (kex) kex.remoteExtInfoEnabled = false
    this.#rekeying.done(this.#output.bytes, this.#output.pieces)
  }

  #takeTurn(kex: string, compute: () => void): void {
    let computed = false
    const giveUp = this.#options.exchanges.take(kex, () => {
      computed = true
      // In the parser, #received() catches what is thrown.
      if (!this.#giveUpTurn) return compute()
      this.#giveUpTurn = undefined
      try {
        compute()
      } catch (error) {
        this.#unreadable(error)
      }
      this.#drained()
    })
    if (computed) return
    this.#giveUpTurn = giveUp
    this.#stream.pause()
  }

  #startRekey(): void {
    if (this.closed) return
    this.#protocol.rekey()
    this.#rekeying.expect(KEX_TIMEOUT_MS, () => this.destroy('key exchange timed out'))
  }

  #received(data: Buffer): void {
    if (this.closed) return
    this.#rekeying.received(data.length)
    this.#handle(data)
  }

  #handle(data: Buffer): void {
    if (this.closed) return
    this.#turnPackets = 0
    this.#turnBytes = 0
    const began = performance.now()
    try {
      // ssh2 keeps what belongs to a key exchange, and there is nothing else before the login.
      feed(this.#protocol, this.#authenticated && !this.exchanging ? data : Buffer.from(data))
      this.#share.handled(performance.now() - began, began, this.exchanging)
      if (this.#share.resting && !this.closed) this.#stream.pause()
    } catch (error) {
      this.#unreadable(error)
    }
  }

  /** What is left of the bytes waits for the next turn of the event loop. The answer makes ssh2's decipher stop. */
  #interrupt(): false {
    const release = holdBack(this.#protocol)
    this.#isInterrupted = true
    this.#stream.pause()
    setImmediate(() => {
      this.#isInterrupted = false
      for (const bytes of release()) this.#handle(bytes)
      this.#drained()
    })
    return false
  }

  /** What handling a packet threw, when it came or later: it ends the connection. */
  broken(error: unknown): void {
    if (isBug(error)) this.#options.fault(error)
    this.#unreadable(error)
  }

  /** ssh2 throws errors of any class where bytes are no packets: a RangeError for a padding that is too long. */
  #unreadable(error: unknown): void {
    const text = messageOf(error)
    if (this.#clientVersion === '') {
      // sshd.c kex_exchange_identification
      this.#output.write('Invalid SSH identification string.\r\n')
      this.#reason ??= 'no SSH identification'
      this.#end()
      return
    }
    this.#reason ??= clientText(text)
    this.disconnect(DisconnectReason.PROTOCOL_ERROR, error instanceof MalformedPacket ? text : 'protocol error')
  }

  /** What ssh2's decipher, and kex/order.ts, call for every packet but those of a key exchange. Infinity stops it. */
  #payload(raw: Buffer): number | false | undefined {
    this.#lastPacket = Date.now()
    const protocol = this.#protocol
    if (this.closed) return Number.POSITIVE_INFINITY
    const reader = protocol._packetRW.read
    // A zip bomb must not become 256 MB: ssh2 sets no limit.
    if (reader._zlib) reader._zlib._maxOutputLength = MAX_PACKET_SIZE
    const lent = reader.read(raw)
    const type = lent[0]
    // packet.c ssh_packet_read_poll2 ends these, too.
    if (type === undefined) throw new Error('an empty packet')
    // Only the handler of data knows that it is lent: all others may keep what they are given.
    const payload = type === Message.CHANNEL_DATA ? lent : Buffer.from(lent)
    if (type === Message.KEXINIT) return this.#keyExchange(payload)
    try {
      this.#dispatch(type, payload)
    } catch (error) {
      this.broken(error)
    }
    if (this.closed) return Number.POSITIVE_INFINITY
    this.#turnPackets++
    this.#turnBytes += lent.length
    if (this.#turnPackets >= MAX_PACKETS_A_TURN || this.#turnBytes >= MAX_BYTES_A_TURN) return this.#interrupt()
    return undefined
  }

  /** The first, the answer to ours, or one that the client asks for. */
  #keyExchange(payload: Buffer): number | false | undefined {
    if (this.exchanging) return ssh2.onKexInit(this.#protocol, payload)
    // OpenSSH asks after the login only (packet.c ssh_packet_need_rekeying), and everybody else has no reason to.
    if (!this.#authenticated) {
      this.disconnect(DisconnectReason.PROTOCOL_ERROR, 'key exchange before the login')
      return Number.POSITIVE_INFINITY
    }
    this.#share.asked()
    return ssh2.onKexInit(this.#protocol, payload)
  }

  #dispatch(type: number, payload: Buffer): void {
    switch (type) {
      case Message.IGNORE:
      case Message.UNIMPLEMENTED:
      case Message.DEBUG:
      case Message.EXT_INFO:
        return
      case Message.DISCONNECT: {
        const reader = new PacketReader(payload, 1)
        this.#clientDisconnects(reader.u32(), reader.text())
        return
      }
      case Message.PING:
        this.send(packet(Message.PONG, new PacketReader(payload, 1).string()))
        return
      default:
        this.#options.packet(type, payload)
    }
  }

  /** RFC 4253 §11.4. */
  unimplemented(): void {
    const next = this.#protocol._decipher?.inSeqno ?? 0
    this.send(packet(Message.UNIMPLEMENTED, (next - 1) >>> 0))
  }

  #clientDisconnects(reason: number, text: string): void {
    this.#reason ??= reason === DisconnectReason.BY_APPLICATION ? 'disconnected by user' : `client: ${clientText(text)}`
    this.#end()
  }

  #drained(): void {
    if (this.closed) return
    const ready =
      !this.#giveUpTurn && !this.#isInterrupted && !this.#share.resting && this.#output.unsent < this.#pauseInput
    if (ready && this.#stream.isPaused()) this.#stream.resume()
    const waiters = [...this.#waiting]
    this.#waiting.clear()
    for (const waiter of waiters) waiter()
  }

  get #pauseInput(): number {
    return this.#authenticated ? PAUSE_INPUT_BYTES : PAUSE_BEFORE_LOGIN_BYTES
  }

  #ended(): void {
    this.#reason ??= 'connection closed by the client'
    this.#end()
  }

  /** Let what was written leave, for a moment. */
  #end(): void {
    if (this.#closed) return
    this.#output.flush()
    this.#stream.end()
    // Unread input would make close(2) a reset, and the client would not see why it was disconnected.
    this.#stream.resume()
    const timer = setTimeout(() => this.#stream.destroy(), CLOSE_TIMEOUT_MS)
    this.#stream.once('close', () => clearTimeout(timer))
    this.#gone()
  }

  #gone(): void {
    if (this.#closed) return
    this.#closed = true
    this.#rekeying.stop()
    this.#share.stop()
    this.#giveUpTurn?.()
    this.#protocol.cleanup()
    this.#waiting.clear()
    this.#options.closed(this.#reason ?? 'connection lost')
  }
}
