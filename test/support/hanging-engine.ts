/**
 * A proxy before an engine's unix socket that loses chosen requests: the engine accepts them and never says anything.
 * Everything else is the engine's own answer.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface HangingEngine {
  readonly endpoint: string
  /** From now on what this matches of "METHOD /path" gets no answer. */
  hang(requests: RegExp | undefined): void
  /** What was lost is asked of the engine now, and nothing hangs any more: it was only slow. */
  release(): void
  /** The engine is gone for whoever comes by here, until mend(). */
  cut(): void
  mend(): void
  /** Requests that were lost, "METHOD /path". */
  readonly lost: readonly string[]
  close(): Promise<void>
}

export async function startHangingEngine(target = '/var/run/docker.sock'): Promise<HangingEngine> {
  const home = await mkdtemp(join(tmpdir(), 'hw-test-hanging-'))
  const sockets = new Set<net.Socket>()
  const lost: string[] = []
  const held = new Set<() => void>()
  let hangs: RegExp | undefined
  let isCut = false
  const server = net.createServer({ allowHalfOpen: true }, (client) => {
    if (isCut) return void client.destroy()
    const engine = net.connect({ path: target, allowHalfOpen: true })
    let silent = false
    for (const socket of [client, engine]) {
      sockets.add(socket)
      socket.on('error', () => {})
      socket.on('close', () => {
        client.destroy()
        engine.destroy()
      })
    }
    client.on('data', (chunk) => {
      // Each request begins a chunk: its sender waits for an answer before the next one.
      const [, request] = /^([A-Z]+ \S+) HTTP\/1\.1\r\n/.exec(chunk.toString('latin1', 0, 4096)) ?? []
      if (request !== undefined && hangs?.test(request)) {
        silent = true
        lost.push(request)
        held.add(() => {
          silent = false
          engine.write(chunk)
        })
        return
      }
      if (!silent) engine.write(chunk)
    })
    client.on('end', () => engine.end())
    engine.on('data', (chunk) => {
      if (!silent) client.write(chunk)
    })
    engine.on('end', () => {
      if (!silent) client.end()
    })
  })
  await new Promise<void>((resolve) => server.listen(join(home, 's'), resolve))
  return {
    endpoint: `unix://${home}/s`,
    lost,
    hang(requests) {
      hangs = requests
    },
    release() {
      hangs = undefined
      for (const ask of held) ask()
      held.clear()
    },
    cut() {
      isCut = true
      for (const socket of sockets) socket.destroy()
      sockets.clear()
    },
    mend() {
      isCut = false
    },
    async close() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
      await rm(home, { recursive: true, force: true })
    },
  }
}
