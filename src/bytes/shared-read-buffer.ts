/**
 * Reading with one buffer for all connections: libuv reads into it and calls back in one go. A chunk of its own for every
 * read costs more in garbage collection than the reading. What is heard is lent until the callback returns.
 */
import { once } from 'node:events'
import net from 'node:net'
import type { Duplex } from 'node:stream'
import { withDeadline } from '../lifetime/deadline.ts'
import { unlessAborted } from '../lifetime/on-abort.ts'

const SHARED = Buffer.allocUnsafeSlow(256 * 1024)
const CHECK_MS = 2_000

let works = true

/** These bytes are overwritten by the next read of any connection. */
export function isLent(bytes: Uint8Array): boolean {
  return bytes.buffer === SHARED.buffer
}

/**
 * An accepted connection that reads into the shared buffer; `heard` returns whether to read on. node offers `onread` for
 * outgoing connections alone; a Socket around the handle of the accepted one has it too (node 20 to 26). `accepted` is
 * empty afterwards. With a node where that fails (checkLending()) it is `accepted` itself, and chunks are not lent.
 */
export function lending(accepted: net.Socket, heard: (chunk: Buffer) => boolean): net.Socket {
  return works ? around(accepted, heard) : plain(accepted, heard)
}

function around(accepted: net.Socket, heard: (chunk: Buffer) => boolean): net.Socket {
  const handle: unknown = Reflect.get(accepted, '_handle')
  Reflect.set(accepted, '_handle', null)
  const callback = (length: number) => heard(SHARED.subarray(0, length))
  return Reflect.construct(net.Socket, [{ handle, onread: { buffer: SHARED, callback } }])
}

function plain(accepted: net.Socket, heard: (chunk: Buffer) => boolean): net.Socket {
  return accepted.on('data', (chunk: Buffer) => {
    if (!heard(chunk)) accepted.pause()
  })
}

/** `heard` gets what comes on any stream, lent; what is answered stands for `stream` from now on. */
export function listening(stream: Duplex, heard: (chunk: Buffer) => void): Duplex {
  if (!works || !isLendable(stream)) return stream.on('data', heard)
  const early: Buffer | null = stream.read()
  // Before the next read, and not before the caller is ready.
  if (early !== null) queueMicrotask(() => heard(early))
  return lending(stream, (chunk) => {
    heard(chunk)
    return true
  })
}

/** A TCP connection whose end has not been read. */
function isLendable(stream: Duplex): stream is net.Socket {
  const handle: unknown = Reflect.get(stream, '_handle')
  const isTcp = handle instanceof Object && handle.constructor.name === 'TCP'
  return stream instanceof net.Socket && isTcp && !Reflect.get(stream, '_readableState').ended
}

/**
 * Tries it once, at the start, on a connection with ourselves: these names are private to node, and a release may have
 * others. Resolves with whether connections read into the shared buffer from now on; if not, each reads as any socket.
 */
export async function checkLending(): Promise<boolean> {
  works = true
  works = await withDeadline(CHECK_MS, [], lendsToItself).catch(() => false)
  return works
}

/** A chunk is lent, reading stops and goes on as asked, an answer leaves, and the end comes. */
async function lendsToItself(limit: AbortSignal): Promise<boolean> {
  const server = net.createServer({ allowHalfOpen: true })
  const sockets: net.Socket[] = []
  try {
    const connected = once(server, 'connection', { signal: limit })
    await unlessAborted(new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve)), limit)
    const address = server.address()
    if (typeof address !== 'object' || address === null) return false
    const client = net.connect(address.port, '127.0.0.1').on('error', () => {})
    sockets.push(client)
    const [accepted]: net.Socket[] = await connected
    if (accepted === undefined || !isLendable(accepted)) return false
    let heard = ''
    let lent = true
    const socket = around(accepted, (chunk) => {
      lent &&= isLent(chunk)
      heard += chunk.toString('latin1')
      socket.emit('heard')
      return heard !== 'one'
    })
    sockets.push(socket.on('error', () => {}))
    const event = (from: net.Socket, name: string) => once(from, name, { signal: limit })
    const [first] = [event(socket, 'heard'), client.write('one')]
    await first
    const [second] = [event(socket, 'heard'), client.write('two'), socket.resume()]
    await second
    const [end, answer] = [event(socket, 'end'), event(client, 'data'), client.end(), socket.write(heard)]
    await end
    return lent && heard === 'onetwo' && String(await answer) === 'onetwo'
  } finally {
    for (const socket of sockets) socket.destroy()
    server.close()
  }
}
