/**
 * The one module that loads ssh2. We use its transport layer (lib/protocol: key exchange, ciphers, packets, key files)
 * and none of its server (lib/server.js, lib/Channel.js): that is where stock ssh2 loses stderr, duplicates stdout and
 * buffers without bound. What the transport lacks is added here at load time and in transport.ts per connection; no file
 * of the package is edited. Private names are used, so the version is pinned and the order of loading is checked.
 */
import { readFileSync } from 'node:fs'
import Module, { createRequire } from 'node:module'
import { assertVersion, VERSION } from './kex/guard.ts'
import { installPostQuantumKex } from './kex/install.ts'

/** OpenSSH's PACKET_MAX_SIZE (packet.c): commands of up to 256 KB arrive in one packet. ssh2 takes 35,000 bytes. */
export const MAX_PACKET_SIZE = 256 * 1024
const LAYER = Symbol.for('hatchway.ssh2')

const load = createRequire(import.meta.url)

export interface Negotiated {
  serverHostKey: string
}

/** A parsed private or public key of ssh2's keyParser.js. */
export interface ParsedKey {
  readonly type: string
  readonly comment: string
  getPublicSSH(): Buffer
  getPrivatePEM(): string | null
  isPrivateKey(): boolean
  sign(data: Buffer, hash?: string): Buffer | Error
}

export interface StockCipher {
  allocPacket(payloadLength: number): Buffer
  encrypt(packet: Buffer): void
  readonly _encBlockLen?: number
  readonly _aadLen?: number
  readonly _macLen?: number
}

export interface StockDecipher {
  inSeqno: number
  /** Of ciphers with the native binding: what came of a packet, possibly where it came. */
  _packet?: Uint8Array | null
}

export interface StockKeyExchange {
  readonly sessionID: Buffer
  readonly negotiated: Negotiated
  remoteExtInfoEnabled: boolean
}

/** What ssh2's Protocol objects have that we touch; every name with an underscore is private to ssh2. */
export interface StockProtocol {
  start(): void
  parse(chunk: Buffer, from: number, to: number): void
  /** Called until it has answered `to` or more. */
  _parse: (chunk: Buffer, from: number, to: number) => number
  rekey(): void
  cleanup(): void
  authSuccess(): void
  readonly _authsQueue: string[]
  _kex?: StockKeyExchange | undefined
  _hostKeys: Readonly<Record<string, ParsedKey>>
  readonly _kexinit?: Buffer
  readonly _queue?: Buffer[]
  _cipher: StockCipher
  readonly _decipher?: StockDecipher
  /** Ours: kex/turn.ts. */
  takeTurn?: (kex: string, compute: () => void) => void
  readonly _packetRW: {
    readonly read: { read(payload: Buffer): Buffer; readonly _zlib?: { _maxOutputLength: number } }
    readonly write: {
      readonly allocStart: number
      readonly allocStartKEX: number
      alloc(size: number, force?: boolean): Buffer
      finalize(packet: Buffer, force?: boolean): Buffer
    }
  }
  _onPayload: (payload: Buffer) => number | false | undefined
  _onHandshakeComplete: (negotiated: Negotiated) => void
}

export interface ProtocolConfig {
  readonly server: true
  readonly ident: Buffer
  readonly hostKeys: Readonly<Record<string, ParsedKey>>
  readonly offer: object
  readonly onWrite: (data: Uint8Array | string) => void
  readonly onError: (error: Error) => void
  readonly onHeader: (header: { readonly identRaw: string }) => void
  readonly messageHandlers: { readonly DISCONNECT: (protocol: unknown, reason: number, description: string) => void }
}

interface AlgorithmList {
  readonly cipher: readonly string[]
  readonly mac: readonly string[]
  readonly compress: readonly string[]
  readonly lang: readonly string[]
}

interface Ssh2 {
  readonly Protocol: new (config: ProtocolConfig) => StockProtocol
  readonly KexInit: new (lists: {
    readonly kex: readonly string[]
    readonly serverHostKey: readonly string[]
    readonly cs: AlgorithmList
    readonly sc: AlgorithmList
  }) => object
  readonly parseKey: (data: Buffer | string) => ParsedKey | ParsedKey[] | Error
  readonly convertSignature: (signature: Buffer, keyType: string) => Buffer | false | undefined
  readonly sendPacket: (protocol: StockProtocol, packet: Buffer, bypass?: boolean) => boolean
  readonly onKexInit: (protocol: StockProtocol, payload: Buffer) => number | false | undefined
  readonly bindingAvailable: boolean
}

/** ssh2 ciphers without its native binding at twice the CPU, silently; start-up and `hatchway doctor` say so. */
export function nativeCryptoAvailable(): boolean {
  return ssh2.bindingAvailable
}

export const ssh2: Ssh2 = await loadLayer()

async function loadLayer(): Promise<Ssh2> {
  assertVersion(load)
  const protocolFile = load.resolve('ssh2/lib/protocol/Protocol.js')
  const crypto = 'ssh2/lib/protocol/crypto.js'
  // A second copy of this module (a test runner's) finds the layer already on.
  if (!load.cache[protocolFile]) {
    if (load.cache[load.resolve(crypto)]) throw new Error(LOADED_EARLY)
    loadWithLargerPackets(load.resolve(crypto))
  } else if (!Reflect.has(load(crypto), LAYER)) {
    throw new Error(LOADED_EARLY)
  }
  installPostQuantumKex()
  const { bindingAvailable, init } = load(crypto)
  await init
  const { KexInit } = load('ssh2/lib/protocol/kex.js')
  const { convertSignature, sendPacket } = load('ssh2/lib/protocol/utils.js')
  return {
    Protocol: load('ssh2/lib/protocol/Protocol.js'),
    KexInit,
    parseKey: load('ssh2/lib/protocol/keyParser.js').parseKey,
    convertSignature,
    sendPacket,
    onKexInit: load('ssh2/lib/protocol/handlers.js')[20],
    bindingAvailable,
  }
}

const LOADED_EARLY = 'ssh2 was loaded before src/ssh/ssh2.ts could augment it: import that module first'

/** The limit is a constant inside crypto.js, so the module is compiled with another one. */
function loadWithLargerPackets(file: string): void {
  const stock = 'const MAX_PACKET_SIZE = 35000;'
  const source = readFileSync(file, 'utf8')
  if (source.split(stock).length !== 2) throw new Error(`${file} is not that of ssh2 ${VERSION}: run npm ci`)
  const module = new Module(file) as Module & { _compile(code: string, file: string): void }
  module.filename = file
  module._compile(source.replace(stock, `const MAX_PACKET_SIZE = ${MAX_PACKET_SIZE};`), file)
  module.loaded = true
  Object.defineProperty(module.exports, LAYER, { value: true })
  load.cache[file] = module
}
