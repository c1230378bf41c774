/**
 * gRPC over HTTP/2 on a unix socket (gRPC's doc/PROTOCOL-HTTP2.md): calls with one answer, and calls with a stream of them. Not
 * @grpc/grpc-js, which brings protobufjs, a name resolver and load balancing: 900 KB for these two.
 */
import type { ClientHttp2Session, ClientHttp2Stream, IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http2'
import net from 'node:net'
import { deferred } from '../../lifetime/deferred.ts'
import { onAbort, unlessAborted } from '../../lifetime/on-abort.ts'

/** gRPC's status codes that are told apart here. */
export const GRPC = {
  cancelled: 1,
  unknown: 2,
  deadlineExceeded: 4,
  notFound: 5,
  permissionDenied: 7,
  failedPrecondition: 9,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
} as const

/** What the server answered in place of a result; `unavailable` also where the connection broke. */
export class GrpcError extends Error {
  readonly status: number

  constructor(status: number, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.name = 'GrpcError'
    this.status = status
  }
}

export interface GrpcChannel {
  /**
   * @param method "/package.Service/Method"
   * @throws GrpcError; the system's own error where nobody can be connected to; the signal's reason
   */
  call(method: string, request: Buffer, signal: AbortSignal): Promise<Buffer>
  /** Answers until the server ends the stream, which is no error, or it breaks, which is. */
  stream(method: string, request: Buffer, signal: AbortSignal): AsyncGenerator<Buffer>
  /** Calls that run are broken off. Idempotent. */
  close(): void
}

/** A list of some thousand containers, each with its whole specification. */
const MAX_MESSAGE_BYTES = 64 * 1024 * 1024
const WINDOW_BYTES = 4 * 1024 * 1024
/** Of what many calls at once may hold; node's own 10 are fewer than one list may have. */
const SESSION_MEGABYTES = 100
const PREFIX_BYTES = 5

/** @param metadata sent with each call. Connects at the first call, and anew after the server was restarted. */
export function createGrpcChannel(path: string, metadata: Readonly<Record<string, string>>): GrpcChannel {
  let current: Promise<ClientHttp2Session> | undefined
  let closed = false

  function session(): Promise<ClientHttp2Session> {
    if (closed) throw new GrpcError(GRPC.unavailable, 'the engine was closed')
    if (current === undefined) {
      const opening = connect(path, () => {
        if (current === opening) current = undefined
      })
      current = opening
    }
    return current
  }

  /** Its request is sent whole: each of these methods takes a single one. */
  async function open(method: string, request: Buffer, signal: AbortSignal): Promise<ClientHttp2Stream> {
    signal.throwIfAborted()
    // Others wait for the same connection: one who has enough of it does not end it for them.
    const connected = await unlessAborted(session(), signal)
    if (connected.closed || connected.destroyed) throw broken(undefined)
    const headers: OutgoingHttpHeaders = {
      ...metadata,
      ':method': 'POST',
      ':path': method,
      'content-type': 'application/grpc',
      te: 'trailers',
    }
    try {
      const stream = connected.request(headers)
      stream.end(framed(request))
      return stream
    } catch (error) {
      throw broken(error)
    }
  }

  async function* stream(method: string, request: Buffer, signal: AbortSignal): AsyncGenerator<Buffer> {
    const opened = await open(method, request, signal)
    const status = statusOf(opened)
    status.catch(() => {})
    const remove = onAbort(signal, () => opened.close(CANCEL))
    try {
      let rest: Buffer = Buffer.alloc(0)
      for await (const piece of opened) {
        rest = Buffer.concat([rest, Buffer.from(piece)])
        for (let length = frameLength(rest); length !== undefined && rest.length >= PREFIX_BYTES + length; ) {
          yield rest.subarray(PREFIX_BYTES, PREFIX_BYTES + length)
          rest = rest.subarray(PREFIX_BYTES + length)
          length = frameLength(rest)
        }
      }
      await status
    } catch (error) {
      signal.throwIfAborted()
      throw error instanceof GrpcError ? error : broken(error)
    } finally {
      remove()
      opened.close(CANCEL)
    }
  }

  return {
    async call(method, request, signal) {
      const opened = await open(method, request, signal)
      const remove = onAbort(signal, () => opened.close(CANCEL))
      const chunks: Buffer[] = []
      let size = 0
      opened.on('data', (chunk: Buffer) => {
        chunks.push(chunk)
        size += chunk.length
        if (size > MAX_MESSAGE_BYTES + PREFIX_BYTES) opened.close(CANCEL)
      })
      try {
        await unlessAborted(statusOf(opened), signal)
        const all = Buffer.concat(chunks)
        if (frameLength(all) !== all.length - PREFIX_BYTES) throw new GrpcError(GRPC.internal, 'the answer is cut off')
        return all.subarray(PREFIX_BYTES)
      } finally {
        remove()
      }
    },
    stream,
    close() {
      closed = true
      current?.then(
        (connected) => connected.destroy(),
        () => {},
      )
    },
  }
}

const CANCEL = 8

async function connect(path: string, gone: () => void): Promise<ClientHttp2Session> {
  // Loaded where it is needed: most gateways never do, and it costs 3 MB.
  const http2 = process.getBuiltinModule('node:http2')
  const connected = deferred()
  const socket = net.connect(path, () => connected.resolve())
  socket.on('error', (error) => {
    connected.reject(error)
    gone()
  })
  await connected.promise
  const session = http2.connect('http://localhost', {
    createConnection: () => socket,
    maxSessionMemory: SESSION_MEGABYTES,
    settings: { enablePush: false, initialWindowSize: WINDOW_BYTES },
  })
  // What it breaks tells of it.
  session.on('error', gone)
  session.on('goaway', gone)
  session.on('close', gone)
  session.on('connect', () => session.setLocalWindowSize(2 * WINDOW_BYTES))
  return session
}

function framed(message: Buffer): Buffer {
  const prefix = Buffer.alloc(PREFIX_BYTES)
  prefix.writeUInt32BE(message.length, 1)
  return Buffer.concat([prefix, message])
}

/** Undefined: the prefix is not there yet. */
function frameLength(bytes: Buffer): number | undefined {
  if (bytes.length < PREFIX_BYTES) return undefined
  const length = bytes.readUInt32BE(1)
  if (bytes[0] !== 0) throw new GrpcError(GRPC.internal, 'the answer is compressed, which was not asked for')
  if (length > MAX_MESSAGE_BYTES) throw new GrpcError(GRPC.internal, 'the answer is too large')
  return length
}

/** Resolves when the call ended well; its answers are read by the caller. */
function statusOf(stream: ClientHttp2Stream): Promise<void> {
  return new Promise((resolve, reject) => {
    let failure: unknown
    const end = (headers: IncomingHttpHeaders) => {
      const status = headers['grpc-status']
      if (status === undefined) return false
      const error = new GrpcError(Number(status), messageOfStatus(headers['grpc-message']))
      failure = Number(status) === 0 ? undefined : error
      return true
    }
    let told = false
    // An answer without a body has its status where others have their head.
    stream.on('response', (headers) => {
      told = end(headers)
      if (!told && headers[':status'] !== 200)
        failure = new GrpcError(GRPC.unknown, `HTTP status ${headers[':status']}`)
    })
    stream.on('trailers', (headers) => {
      told = end(headers)
    })
    stream.on('error', (error) => {
      failure ??= broken(error)
    })
    stream.on('close', () => {
      if (failure !== undefined) reject(failure)
      else if (told) resolve()
      else reject(broken(undefined))
    })
  })
}

function broken(cause: unknown): GrpcError {
  return new GrpcError(GRPC.unavailable, 'the connection broke', { cause })
}

/** Percent-encoded, by servers that do it right. */
function messageOfStatus(text: string | string[] | undefined): string {
  const encoded = String(text ?? '')
  try {
    return decodeURIComponent(encoded)
  } catch {
    return encoded
  }
}
