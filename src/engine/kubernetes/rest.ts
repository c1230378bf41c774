/**
 * The few calls that the driver makes, on node:https: kept-alive sockets, a limit on every call, bounded bodies, a Status of
 * the API server as a failure. A token that is not taken is asked for anew once; 429 and 503 with Retry-After are waited for.
 */
import http from 'node:http'
import https from 'node:https'
import { isIP } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { HatchwayError, isErrno } from '../../base/errors.ts'
import { oneLine } from '../../base/printable.ts'
import { withDeadline } from '../../lifetime/deadline.ts'
import { onAbort } from '../../lifetime/on-abort.ts'
import { engineLimit, engineLost, engineTimeout, unreachable } from '../messages.ts'
import { type ApiProof, type Credentials, createCredentials } from './credentials.ts'
import type { ClusterAccess } from './kubeconfig.ts'
import { type ApiStatus, parseStatus } from './status.ts'

export interface KubeRest {
  readonly access: ClusterAccess
  readonly credentials: Credentials
  /** The answer's JSON. @throws ApiRefusal for a status that is not 2xx, HatchwayError ENGINE_* for no answer */
  json(method: string, path: string, signal: AbortSignal, body?: object): Promise<unknown>
  /** The answer's head has come (2xx); its body is the caller's, bounded by the signal only. */
  open(path: string, signal: AbortSignal): Promise<http.IncomingMessage>
  /** How a socket to it is made: for WebSockets. */
  tlsOptions(proof: ApiProof): https.AgentOptions
  close(): void
}

/** The API server said no, and why. */
export class ApiRefusal extends Error {
  readonly code: number
  readonly reason: string

  constructor({ code, reason, message }: ApiStatus) {
    super(oneLine(message))
    this.name = 'ApiRefusal'
    this.code = code
    this.reason = reason
  }
}

/** Whether the API server said no, with this status. */
export function isRefusal(error: unknown, code: number): error is ApiRefusal {
  return error instanceof ApiRefusal && error.code === code
}

/** Lists are merged by their keys. */
const CONTENT: Readonly<Record<string, string>> = { PATCH: 'application/strategic-merge-patch+json' }
const CALL_MS = 15_000
/** Some thousand pods, each with what its managers wrote. */
const MAX_BODY_BYTES = 64 * 1024 * 1024
const MAX_FREE_SOCKETS = 4
const ATTEMPTS = 4
const LONGEST_RETRY_MS = 5_000

export function createKubeRest(access: ClusterAccess, callMs = CALL_MS): KubeRest {
  const { server } = access
  const secure = server.protocol === 'https:'
  const options = { keepAlive: true, maxFreeSockets: MAX_FREE_SOCKETS, timeout: 60_000 }
  const agent = secure ? new https.Agent(options) : new http.Agent(options)
  const credentials = createCredentials(access.user)
  const base = server.pathname.replace(/\/+$/, '')

  function tlsOptions({ cert, key }: ApiProof): https.AgentOptions {
    if (!secure) return {}
    return {
      rejectUnauthorized: access.verify,
      ...(access.ca && { ca: access.ca }),
      ...(cert && { cert }),
      ...(key && { key }),
      ...(access.serverName
        ? { servername: access.serverName }
        : isIP(server.hostname.replace(/^\[|\]$/g, '')) === 0 && { servername: server.hostname }),
    }
  }

  async function send(method: string, path: string, body: object | undefined, signal: AbortSignal) {
    for (let attempt = 1; ; attempt++) {
      const proof = await credentials.now(signal)
      const response = await request(method, path, body, proof, signal)
      const { statusCode: code = 0 } = response
      if (code >= 200 && code < 300) return response
      const refusal = new ApiRefusal(parseStatus(await readBody(response), code))
      if (attempt >= ATTEMPTS) throw refusal
      const wait = retryAfter(response)
      if ((code === 429 || code === 503) && wait !== undefined) await delay(wait, undefined, { signal })
      else if (code !== 401 || attempt > 1 || !credentials.refused(proof)) throw refusal
    }
  }

  function request(
    method: string,
    path: string,
    body: object | undefined,
    { authorization, ...proof }: ApiProof,
    signal: AbortSignal,
    stale = 0,
  ): Promise<http.IncomingMessage> {
    return new Promise((resolve, reject) => {
      signal.throwIfAborted()
      const bytes = body === undefined ? undefined : Buffer.from(JSON.stringify(body))
      const sent = (secure ? https : http).request(
        {
          agent,
          method,
          host: server.hostname.replace(/^\[|\]$/g, ''),
          port: server.port || (secure ? 443 : 80),
          path: base + path,
          headers: {
            Accept: 'application/json',
            ...(authorization && { Authorization: authorization }),
            ...(bytes && { 'Content-Type': CONTENT[method] ?? 'application/json', 'Content-Length': bytes.length }),
          },
          ...tlsOptions(proof),
        },
        (response) => {
          response.on('error', () => {})
          response.once('close', remove)
          resolve(response)
        },
      )
      const remove = onAbort(signal, () => sent.destroy())
      sent.on('error', (error) => {
        remove()
        if (signal.aborted) return reject(signal.reason)
        // The server closed an idle socket while we were writing on it: it has not seen the call.
        const unseen = sent.reusedSocket && isErrno(error, 'ECONNRESET', 'EPIPE') && stale <= MAX_FREE_SOCKETS
        if (!unseen) return reject(describeFailure(error, access))
        request(method, path, body, { ...proof, ...(authorization && { authorization }) }, signal, stale + 1).then(
          resolve,
          reject,
        )
      })
      sent.end(bytes)
    })
  }

  return {
    access,
    credentials,
    tlsOptions,

    json(method, path, signal, body) {
      const limit = engineLimit(`${method} ${path.split('?')[0]}`, callMs)
      return withDeadline(limit, [signal], async (limited) => {
        const text = await readBody(await send(method, path, body, limited), limited)
        try {
          return JSON.parse(text)
        } catch (error) {
          throw new HatchwayError('ENGINE_ERROR', 'the container engine gave an answer that is not JSON', {
            cause: error,
          })
        }
      })
    },

    async open(path, signal) {
      const opening = new AbortController()
      const remove = onAbort(signal, (reason) => opening.abort(reason))
      const timer = setTimeout(() => opening.abort(engineTimeout(`GET ${path.split('?')[0]}`, callMs)), callMs)
      try {
        const response = await send('GET', path, undefined, opening.signal)
        response.once('close', remove)
        return response
      } catch (error) {
        remove()
        throw error
      } finally {
        clearTimeout(timer)
      }
    },

    close: () => agent.destroy(),
  }
}

function readBody(response: http.IncomingMessage, signal?: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let size = 0
    response.on('data', (chunk: Buffer) => {
      size += chunk.length
      if (size <= MAX_BODY_BYTES) chunks.push(chunk)
      else response.destroy()
    })
    response.on('end', () => resolve(Buffer.concat(chunks).toString('utf8')))
    response.on('close', () => {
      const why = size > MAX_BODY_BYTES ? 'the answer is too large' : 'the answer was cut off'
      reject(signal?.aborted ? signal.reason : engineLost(new Error(why)))
    })
  })
}

/** Seconds, as the API server says them. */
function retryAfter(response: http.IncomingMessage): number | undefined {
  const seconds = Number(response.headers['retry-after'])
  return Number.isFinite(seconds) ? Math.min(seconds * 1000, LONGEST_RETRY_MS) : undefined
}

const CONNECT_WORDS: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'connection refused',
  ENOTFOUND: 'unknown host',
  EAI_AGAIN: 'unknown host',
  ETIMEDOUT: 'connection timed out',
  EHOSTUNREACH: 'no route to host',
  ENETUNREACH: 'no route to host',
}

/** A socket's error as a sentence; where the API server is goes to the log (cause). */
export function describeFailure(error: Error, { server }: Pick<ClusterAccess, 'server'>): HatchwayError {
  if (error instanceof HatchwayError) return error
  const code = 'code' in error && typeof error.code === 'string' ? error.code : ''
  const cause = new Error(`${server.origin}: ${error.message}`, { cause: error })
  if (code.startsWith('HPE_')) {
    return new HatchwayError('ENGINE_ERROR', 'the container engine gave an answer that is not HTTP', { cause })
  }
  if (code === 'ECONNRESET' || code === 'EPIPE') return engineLost(cause)
  return unreachable(CONNECT_WORDS[code] ?? (/TLS|SSL|CERT/.test(code) ? 'TLS was refused' : undefined), cause)
}
