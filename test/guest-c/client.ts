/** A small client of docs/guest-protocol.md, for the tests of the C side: it can also say what no gateway would. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import type { Readable, Writable } from 'node:stream'

export const T = {
  HELLO: 1,
  INIT: 2,
  PING: 3,
  PONG: 4,
  SHUTDOWN: 5,
  SWITCH: 6,
  SWITCHED: 7,
  PART: 10,
  SPAWN: 11,
  CONNECT: 12,
  LISTEN: 13,
  SFTP: 14,
  OPENED: 15,
  FAIL: 16,
  ACCEPT: 17,
  DATA: 20,
  DATA2: 21,
  EOF: 22,
  EOF2: 23,
  WINDOW: 24,
  RESIZE: 25,
  SIGNAL: 26,
  CLOSE: 27,
  EXIT: 28,
  CLOSED: 29,
  UNREAD: 30,
} as const

export interface Frame {
  readonly type: number
  readonly channel: number
  readonly payload: Buffer
}

export const u8 = (...values: number[]) => Buffer.from(values)
export function u16(value: number): Buffer {
  const bytes = Buffer.alloc(2)
  bytes.writeUInt16BE(value)
  return bytes
}
export function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}
export function text(value: string | Buffer): Buffer {
  const bytes = Buffer.from(value)
  return Buffer.concat([u32(bytes.length), bytes])
}
export function list(values: readonly (string | Buffer)[]): Buffer {
  return Buffer.concat([u32(values.length), ...values.map(text)])
}
export function frameBytes(type: number, channel: number, payload: Buffer = Buffer.alloc(0)): Buffer {
  const header = Buffer.alloc(8)
  header.writeUIntBE(payload.length, 0, 3)
  header.writeUInt8(type, 3)
  header.writeUInt32BE(channel, 4)
  return Buffer.concat([header, payload])
}

export interface SpawnOptions {
  readonly pty?: { cols?: number; rows?: number; modes?: Buffer } | true
  readonly monitor?: boolean
  readonly flags?: number
  readonly credit?: number
  readonly program?: string
  readonly env?: readonly string[]
  readonly cwd?: string
  readonly warn?: string
}

export function spawnPayload(argv: readonly (string | Buffer)[], options: SpawnOptions = {}): Buffer {
  const pty = options.pty === true ? {} : options.pty
  const flags = options.flags ?? (pty ? 1 : 0) + (options.monitor ? 2 : 0)
  return Buffer.concat([
    u32(flags),
    u32(options.credit ?? 1 << 30),
    u16(pty?.cols ?? 80),
    u16(pty?.rows ?? 24),
    u16(0),
    u16(0),
    text(pty?.modes ?? ''),
    text(options.program ?? argv[0] ?? ''),
    list(argv),
    list(options.env ?? []),
    text(options.cwd ?? ''),
    text(options.warn ?? ''),
  ])
}

/** What came on a channel so far. */
export class Channel {
  readonly frames: Frame[] = []
  out = Buffer.alloc(0)
  err = Buffer.alloc(0)
  private readonly client: Client
  readonly id: number

  constructor(client: Client, id: number) {
    this.client = client
    this.id = id
  }
  take(frame: Frame): void {
    this.frames.push(frame)
    if (frame.type === T.DATA) this.out = Buffer.concat([this.out, frame.payload])
    if (frame.type === T.DATA2) this.err = Buffer.concat([this.err, frame.payload])
  }
  has(type: number): Frame | undefined {
    return this.frames.find((frame) => frame.type === type)
  }
  wait(type: number, ms = 5000): Promise<Frame> {
    return this.client.until(() => this.has(type), `type ${type} on channel ${this.id}`, ms)
  }
  async waitText(pattern: RegExp | string, ms = 5000): Promise<string> {
    const found = () => {
      const all = this.out.toString()
      return (typeof pattern === 'string' ? all.includes(pattern) : pattern.test(all)) ? all : undefined
    }
    return await this.client.until(found, `${pattern} in ${JSON.stringify(this.out.toString().slice(-500))}`, ms)
  }
  async closed(ms = 5000): Promise<this> {
    await this.client.until(() => this.has(T.CLOSED) ?? this.has(T.FAIL), `the end of channel ${this.id}`, ms)
    return this
  }
  /** [kind, value, core] */
  async exit(ms = 5000): Promise<number[]> {
    return [...(await this.wait(T.EXIT, ms)).payload]
  }
  send(type: number, payload?: Buffer): void {
    this.client.send(type, this.id, payload)
  }
  data(bytes: string | Buffer): void {
    this.send(T.DATA, Buffer.from(bytes))
  }
  eof(): void {
    this.send(T.EOF)
  }
  window(bytes: number): void {
    this.send(T.WINDOW, u32(bytes))
  }
  close(mode = 0): void {
    this.send(T.CLOSE, u8(mode))
  }
  signal(number: number): void {
    this.send(T.SIGNAL, u8(number))
  }
  resize(cols: number, rows: number): void {
    this.send(T.RESIZE, Buffer.concat([u16(cols), u16(rows), u16(0), u16(0)]))
  }
  get failed(): { errno: number; stage: number } | undefined {
    const fail = this.has(T.FAIL)
    return fail && { errno: fail.payload.readUInt32BE(0), stage: fail.payload.readUInt8(4) }
  }
}

export interface ClientOptions {
  readonly init?: { lease?: number; grace?: number; channels?: number } | false
  /** In front of the helper's path: a wrapper such as setpriv or qemu. */
  readonly wrap?: readonly string[]
  readonly binary: string
  readonly env?: NodeJS.ProcessEnv
  /** Whom root becomes. */
  readonly become?: string
  /** Keeps a frame out of the channel's record: for bulk. */
  readonly onFrame?: (frame: Frame) => boolean
}

export class Client {
  readonly process: ChildProcess
  readonly channels = new Map<number, Channel>()
  readonly frames: Frame[] = []
  stderr = ''
  code: number | null | undefined
  private readonly waiting = new Set<() => void>()
  private pings: NodeJS.Timeout | undefined
  private next = 1
  private readonly onFrame: ((frame: Frame) => boolean) | undefined
  output: Writable

  constructor(options: ClientOptions) {
    const [file, ...args] = [
      ...(options.wrap ?? []),
      options.binary,
      'serve',
      ...(options.become ? [options.become] : []),
    ]
    this.onFrame = options.onFrame
    this.process = spawn(file as string, args, { stdio: 'pipe', env: options.env ?? process.env })
    this.output = this.process.stdin as Writable
    this.output.on('error', () => {})
    this.listen(this.process.stdout as Readable)
    this.process.stderr?.on('data', (piece) => {
      this.stderr += piece
    })
    this.process.on('exit', (code, signal) => {
      this.code = code ?? (signal === null ? null : -1)
      clearInterval(this.pings)
      this.poke()
    })
  }

  static async start(options: ClientOptions): Promise<Client> {
    const client = new Client(options)
    await client.connection(T.HELLO, 10_000)
    if (options.init !== false) {
      const lease = options.init?.lease ?? 60_000
      client.init(lease, options.init?.grace ?? 500, options.init?.channels ?? 256)
    }
    return client
  }

  listen(from: Readable | Socket): void {
    let rest: Buffer = Buffer.alloc(0)
    from.on('data', (piece: Buffer) => {
      rest = rest.length === 0 ? piece : Buffer.concat([rest, piece])
      let at = 0
      while (rest.length - at >= 8) {
        const end = at + 8 + rest.readUIntBE(at, 3)
        if (rest.length < end) break
        const payload = rest.subarray(at + 8, end)
        this.take({ type: rest.readUInt8(at + 3), channel: rest.readUInt32BE(at + 4), payload })
        at = end
      }
      rest = rest.subarray(at)
      this.poke()
    })
  }

  private take(frame: Frame): void {
    if (this.onFrame?.(frame)) return
    const copy = { ...frame, payload: Buffer.from(frame.payload) }
    if (frame.channel === 0) this.frames.push(copy)
    else this.channel(frame.channel).take(copy)
  }

  channel(id: number): Channel {
    const known = this.channels.get(id)
    if (known) return known
    const channel = new Channel(this, id)
    this.channels.set(id, channel)
    return channel
  }
  open(type: number, payload: Buffer): Channel {
    const channel = this.channel(this.next++)
    channel.send(type, payload)
    return channel
  }
  spawn(argv: readonly string[], options?: SpawnOptions): Channel {
    return this.open(T.SPAWN, spawnPayload(argv, options))
  }
  sh(script: string, options?: SpawnOptions): Channel {
    return this.spawn(['/bin/sh', '-c', script], options)
  }
  connect(host: string, port: number, credit = 1 << 30): Channel {
    return this.open(T.CONNECT, Buffer.concat([u32(credit), u8(0), u16(port), text(host)]))
  }
  connectUnix(path: string): Channel {
    return this.open(T.CONNECT, Buffer.concat([u32(1 << 30), u8(1), u16(0), text(path)]))
  }
  listenTcp(host: string, port: number): Channel {
    return this.open(T.LISTEN, Buffer.concat([u8(0), u16(port), text(host), u32(0), u8(0)]))
  }
  listenUnix(path: string, mode = 0o600, unlink = 0): Channel {
    return this.open(T.LISTEN, Buffer.concat([u8(1), u16(0), text(path), u32(mode), u8(unlink)]))
  }
  send(type: number, channel: number, payload?: Buffer): void {
    this.output.write(frameBytes(type, channel, payload))
  }
  /** The frames of `work` leave in one write. */
  together(work: () => void): void {
    this.output.cork()
    work()
    this.output.uncork()
  }
  init(lease: number, grace: number, channels: number): void {
    this.send(T.INIT, 0, Buffer.concat([u16(1), u32(lease), u32(grace), u32(channels), u32(0)]))
  }
  keepAlive(everyMs: number): void {
    this.pings = setInterval(() => this.send(T.PING, 0, Buffer.alloc(8)), everyMs)
  }
  stopPings(): void {
    clearInterval(this.pings)
  }
  async ping(id: bigint): Promise<number> {
    const payload = Buffer.alloc(8)
    payload.writeBigUInt64BE(id)
    const start = performance.now()
    this.send(T.PING, 0, payload)
    await this.until(() => this.frames.find((f) => f.type === T.PONG && f.payload.equals(payload)), 'PONG', 10_000)
    return performance.now() - start
  }
  connection(type: number, ms = 5000): Promise<Frame> {
    return this.until(() => this.frames.find((frame) => frame.type === type), `type ${type}`, ms)
  }
  poke(): void {
    for (const check of [...this.waiting]) check()
  }
  until<R>(found: () => R | undefined | false, what: string, ms: number): Promise<R> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.waiting.delete(check)
        reject(new Error(`not within ${ms} ms: ${what}; helper ${this.code ?? 'runs'}; ${this.stderr}`))
      }, ms)
      const check = () => {
        const value = found()
        if (value === undefined || value === false) return
        clearTimeout(timer)
        this.waiting.delete(check)
        resolve(value)
      }
      this.waiting.add(check)
      check()
    })
  }
  /** The helper's exit code. */
  exited(ms = 10_000): Promise<number> {
    return this.until(
      () => (this.code === undefined || this.code === null ? undefined : { code: this.code }),
      'exit',
      ms,
    ).then((ended) => ended.code)
  }
  /** stdin's end: the helper ends its sessions and itself. */
  async stop(): Promise<number> {
    this.output.end()
    if (this.output !== this.process.stdin) this.process.stdin?.end()
    return await this.exited()
  }
  /** For afterEach: whatever state it is in. */
  async dispose(): Promise<void> {
    clearInterval(this.pings)
    if (this.process.exitCode === null && this.process.signalCode === null) {
      this.process.stdin?.end()
      const timer = setTimeout(() => this.process.kill('SIGKILL'), 8000)
      await once(this.process, 'exit')
      clearTimeout(timer)
    }
  }
}
