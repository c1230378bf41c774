/** An sftp server as a child process, ours or Debian's, and a raw client of it. */
import { type ChildProcessWithoutNullStreams, execFileSync, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { FX, FXP, packet, Reader, readStatus, u32 } from './wire.ts'

const guest = fileURLToPath(new URL('../../guest', import.meta.url))

let built: string | undefined
/** The helper's program; built when its sources are newer. */
export function helper(): string {
  if (!built) execFileSync('make', ['-s', '-C', guest])
  built = `${guest}/bin/hatchway-guest-${process.arch}`
  return built
}
export const debianServer = '/usr/lib/openssh/sftp-server'
export const noDebianServer = existsSync(debianServer) ? false : `no ${debianServer} to compare with`

export interface Reply {
  readonly type: number
  readonly id: number
  readonly body: Buffer
}

const LIMIT = 15_000

export class SftpServer {
  private readonly child: ChildProcessWithoutNullStreams
  private input = Buffer.alloc(0)
  private waiting: { resolve(reply: Reply): void; reject(error: Error): void } | undefined
  private ended = false
  private nextId = 100
  stderr = ''
  readonly exit: Promise<number>

  constructor(file: string, args: readonly string[], cwd: string) {
    this.child = spawn(file, [...args], { cwd, env: { TZ: 'UTC' } })
    this.child.stdin.on('error', () => undefined) // the server may be gone: its exit says so
    this.child.stderr.on('data', (chunk: Buffer) => {
      this.stderr += chunk.toString()
    })
    this.child.stdout.on('data', (chunk: Buffer) => {
      this.input = Buffer.concat([this.input, chunk])
      this.deliver()
    })
    this.child.stdout.on('end', () => {
      this.ended = true
      this.deliver()
    })
    this.exit = new Promise((resolve) => this.child.on('close', (code) => resolve(code ?? 255)))
  }

  get pid(): number {
    return this.child.pid ?? 0
  }

  private deliver(): void {
    const { waiting } = this
    if (!waiting) return
    const length = this.input.length >= 4 ? this.input.readUInt32BE() : -1
    if (length >= 5 && this.input.length >= 4 + length) {
      const body = this.input.subarray(4, 4 + length)
      this.input = this.input.subarray(4 + length)
      this.waiting = undefined
      waiting.resolve({ type: body.readUInt8(), id: body.readUInt32BE(1), body: body.subarray(5) })
    } else if (this.ended) {
      this.waiting = undefined
      waiting.reject(new Error(`server ended: ${this.stderr}`))
    }
  }

  send(bytes: Buffer): void {
    this.child.stdin.write(bytes)
  }
  end(): void {
    this.child.stdin.end()
  }
  async next(): Promise<Reply> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error('no answer')), LIMIT)
      this.waiting = {
        resolve: (reply) => {
          clearTimeout(timer)
          resolve(reply)
        },
        reject: (error) => {
          clearTimeout(timer)
          reject(error)
        },
      }
      this.deliver()
    })
  }

  async init(): Promise<ReadonlyMap<string, string>> {
    this.send(packet(FXP.INIT, u32(3)))
    const r = new Reader((await this.next()).body)
    const extensions = new Map<string, string>()
    while (!r.done) extensions.set(r.string().toString(), r.string().toString())
    return extensions
  }
  async ask(type: number, ...fields: readonly Buffer[]): Promise<Reply> {
    const id = this.nextId++
    this.send(packet(type, u32(id), ...fields))
    const reply = await this.next()
    if (reply.id !== id) throw new Error(`answer to ${reply.id}, not ${id}`)
    return reply
  }
  /** The handle's string, or an error with the status. */
  async handle(type: number, ...fields: readonly Buffer[]): Promise<Buffer> {
    const reply = await this.ask(type, ...fields)
    if (reply.type !== FXP.HANDLE) throw new Error(`no handle: ${readStatus(reply.body).text}`)
    return Buffer.from(new Reader(reply.body).string())
  }
  async ok(type: number, ...fields: readonly Buffer[]): Promise<void> {
    const status = readStatus((await this.ask(type, ...fields)).body)
    if (status.code !== FX.OK) throw new Error(status.text)
  }

  async close(): Promise<number> {
    this.end()
    const timer = setTimeout(() => this.child.kill('SIGKILL'), LIMIT)
    const code = await this.exit
    clearTimeout(timer)
    return code
  }
}
