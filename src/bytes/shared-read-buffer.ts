/**
 * Reading with one buffer for all connections: libuv reads into it and calls back in one go. A chunk of its own for every
 * read costs more in garbage collection than the reading. What is heard is lent until the callback returns.
 */
import net from 'node:net'
import type { Duplex } from 'node:stream'

const SHARED = Buffer.allocUnsafeSlow(256 * 1024)

/** These bytes are overwritten by the next read of any connection. */
export function isLent(bytes: Uint8Array): boolean {
  return bytes.buffer === SHARED.buffer
}

/**
 * An accepted connection that reads into the shared buffer; `heard` returns whether to read on. node offers `onread` for
 * outgoing connections alone; a Socket around the handle of the accepted one has it too (node 20 to 24). `accepted` is
 * empty afterwards.
 */
export function lending(accepted: net.Socket, heard: (chunk: Buffer) => boolean): net.Socket {
  const handle: unknown = Reflect.get(accepted, '_handle')
  Reflect.set(accepted, '_handle', null)
  const callback = (length: number) => heard(SHARED.subarray(0, length))
  return Reflect.construct(net.Socket, [{ handle, onread: { buffer: SHARED, callback } }])
}

/** `heard` gets what comes on any stream, lent; what is answered stands for `stream` from now on. */
export function listening(stream: Duplex, heard: (chunk: Buffer) => void): Duplex {
  if (!isLendable(stream)) return stream.on('data', heard)
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
