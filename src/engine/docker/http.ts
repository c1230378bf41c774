/** Calls of the Docker API over node:http: kept-alive sockets, a deadline on every call, bounded bodies, failures by code. */
import http from 'node:http'
import type { Readable } from 'node:stream'
import { HatchwayError, isErrno } from '../../base/errors.ts'
import { onAbort } from '../../lifetime/on-abort.ts'
import { engineLost, engineTimeout, unreachable } from '../messages.ts'
import { connectTo, type DockerAddress, formatAddress } from './address.ts'
import { SshFailure } from './ssh-stream.ts'

export interface HttpAnswer {
  readonly status: number
  readonly body: Buffer
  readonly headers: http.IncomingHttpHeaders
}

export interface CallOptions {
  readonly signal: AbortSignal
  readonly json?: object
  readonly tar?: Buffer
  /** Milliseconds; the driver's own default when absent. */
  readonly deadline?: number
  /** Bytes of body taken; the rest is cut off. */
  readonly limit?: number
}

export interface DockerHttp {
  call(method: string, path: string, options: CallOptions): Promise<HttpAnswer>
  /** The answer's head has come; the body is the caller's to read. It is not bounded in time, only by the signal. */
  open(method: string, path: string, signal: AbortSignal, deadline?: number): Promise<http.IncomingMessage>
  /** A body of any length, sent as it comes; bounded by the signal only. The engine may answer before it has all of it. */
  upload(path: string, body: Readable, signal: AbortSignal): Promise<http.IncomingMessage>
  close(): void
}

/** A list of some thousand containers with labels is a few MiB. */
const MAX_BODY_BYTES = 32 * 1024 * 1024
const MAX_FREE_SOCKETS = 4
/** An sshd takes ten logins at once, unless it was told otherwise (MaxStartups); one of them is for the events. */
const MAX_SSH_AT_ONCE = 6

export function createDockerHttp(address: DockerAddress, deadline: number): DockerHttp {
  const agent = new http.Agent({
    ...{ keepAlive: true, maxFreeSockets: MAX_FREE_SOCKETS, timeout: 60_000 },
    ...(address.kind === 'ssh' && { maxSockets: MAX_SSH_AT_ONCE }),
  })
  agent.createConnection = () => connectTo(address)

  function send(method: string, path: string, options: CallOptions, after: (r: http.IncomingMessage) => void) {
    const body = options.json === undefined ? options.tar : Buffer.from(JSON.stringify(options.json))
    const type = options.json === undefined ? 'application/x-tar' : 'application/json'
    const request = http.request({ agent, method, path, headers: { Host: 'docker' } }, after)
    if (body !== undefined) request.setHeader('Content-Type', type).setHeader('Content-Length', body.length)
    request.end(body)
    return request
  }

  function once(method: string, path: string, options: CallOptions): Promise<HttpAnswer> {
    return new Promise((resolve, reject) => {
      const limit = options.limit ?? MAX_BODY_BYTES
      const allowed = options.deadline ?? deadline
      const finish = (act: () => void) => {
        clearTimeout(timer)
        remove()
        act()
      }
      const fail = (error: unknown) => {
        finish(() => reject(error))
        request.destroy()
      }
      const timer = setTimeout(() => fail(engineTimeout(`${method} ${path.split('?')[0]}`, allowed)), allowed)
      const request = send(method, path, options, (response) => {
        const chunks: Buffer[] = []
        let size = 0
        const done = () =>
          finish(() => {
            const { statusCode = 0, headers } = response
            resolve({ status: statusCode, body: Buffer.concat(chunks), headers })
          })
        response.on('error', (error) => fail(describe(error, address)))
        response.on('aborted', () => fail(engineLost(new Error('the answer was cut off'))))
        response.on('end', done)
        response.on('data', (chunk: Buffer) => {
          chunks.push(chunk.subarray(0, limit - size))
          size += chunk.length
          if (size > limit) {
            done()
            response.removeAllListeners('aborted')
            response.destroy()
          }
        })
      })
      request.on('error', (error) => finish(() => reject(retryable(request, error) ?? describe(error, address))))
      const remove = onAbort(options.signal, fail)
    })
  }

  return {
    async call(method, path, options) {
      for (let attempt = 0; ; attempt++) {
        options.signal.throwIfAborted()
        try {
          return await once(method, path, options)
        } catch (error) {
          // The engine closed an idle socket while we were writing on it, so it has not seen the call. After a restart
          // every kept socket is such a one.
          if (error !== STALE_SOCKET) throw error
          if (attempt > MAX_FREE_SOCKETS) throw engineLost(error)
        }
      }
    },

    open: (method, path, signal, allowed = deadline) =>
      new Promise((resolve, reject) => {
        signal.throwIfAborted()
        const timer = setTimeout(
          () => request.destroy(engineTimeout(`${method} ${path.split('?')[0]}`, allowed)),
          allowed,
        )
        const request = send(method, path, { signal }, (response) => {
          clearTimeout(timer)
          response.on('error', () => {})
          response.once('close', remove)
          resolve(response)
        })
        const remove = onAbort(signal, () => request.destroy())
        request.on('error', (error) => {
          clearTimeout(timer)
          remove()
          reject(signal.aborted ? signal.reason : describe(error, address))
        })
      }),

    upload: (path, body, signal) =>
      new Promise((resolve, reject) => {
        // A socket of its own: on a kept one that the engine has closed meanwhile, what was read of the body would be lost.
        const headers = { Host: 'docker', 'Content-Type': 'application/x-tar' }
        const createConnection = () => connectTo(address)
        const request = http.request({ method: 'PUT', path, headers, signal, createConnection }, resolve)
        body.on('error', (error) => request.destroy(error))
        request.on('error', (error) => {
          body.destroy()
          reject(signal.aborted ? signal.reason : describe(error, address))
        })
        body.pipe(request)
      }),

    close: () => agent.destroy(),
  }
}

const STALE_SOCKET = new Error('a kept-alive socket was closed by the engine')

function retryable(request: http.ClientRequest, error: Error): Error | undefined {
  return request.reusedSocket && isErrno(error, 'ECONNRESET', 'EPIPE') ? STALE_SOCKET : undefined
}

/** A socket's or parser's error as a sentence. The endpoint goes to the log (cause), not to the SSH client. */
export function describe(error: Error, address: DockerAddress): HatchwayError {
  if (error instanceof HatchwayError) return error
  const code = 'code' in error && typeof error.code === 'string' ? error.code : ''
  const cause = new Error(`${formatAddress(address)}: ${error.message}`, { cause: error })
  if (error instanceof SshFailure) return unreachable(error.words, cause)
  if (code.startsWith('HPE_')) {
    return new HatchwayError('ENGINE_ERROR', 'the container engine gave an answer that is not HTTP', { cause })
  }
  if (code === 'ECONNRESET' || code === 'EPIPE') return engineLost(cause)
  const words = CONNECT_WORDS[code] ?? (/TLS|SSL|CERT|SIGNATURE/.test(code) ? 'TLS was refused' : undefined)
  return unreachable(words, cause)
}

const UNTRUSTED = 'its certificate is of no authority that is trusted'
const REFUSES_OURS = 'it refuses the certificate that it is shown'
const CONNECT_WORDS: Readonly<Record<string, string>> = {
  ENOENT: 'its socket is missing',
  ECONNREFUSED: 'connection refused',
  EACCES: 'permission denied',
  ENOTFOUND: 'unknown host',
  ETIMEDOUT: 'connection timed out',
  EHOSTUNREACH: 'no route to host',
  CERT_HAS_EXPIRED: 'its certificate has expired',
  CERT_NOT_YET_VALID: 'its certificate is not valid yet',
  ERR_TLS_CERT_ALTNAME_INVALID: 'its certificate is for another name',
  DEPTH_ZERO_SELF_SIGNED_CERT: UNTRUSTED,
  SELF_SIGNED_CERT_IN_CHAIN: UNTRUSTED,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: UNTRUSTED,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: UNTRUSTED,
  CERT_SIGNATURE_FAILURE: UNTRUSTED,
  ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED: REFUSES_OURS,
  ERR_SSL_TLSV1_ALERT_UNKNOWN_CA: REFUSES_OURS,
  ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE: REFUSES_OURS,
}
