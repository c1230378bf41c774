/**
 * containerd's API, as far as a gateway needs it: a limit on every call, failures by code. The numbers of the fields are those
 * of its proto files (api/services, api/types, api/events), and do not change.
 */
import { HatchwayError, isErrno, messageOf } from '../../base/errors.ts'
import { withDeadline } from '../../lifetime/deadline.ts'
import { type About, engineError, engineLimit, engineLost, engineTimeout, unreachable } from '../messages.ts'
import { createGrpcChannel, GRPC, GrpcError } from './grpc.ts'
import { type DecodedMessage, decodeMessage, encodeMessage, type FieldValue } from './protobuf.ts'

const TASKS = '/containerd.services.tasks.v1.Tasks'

/** The methods that are used. */
const METHODS = {
  version: '/containerd.services.version.v1.Version/Version',
  container: '/containerd.services.containers.v1.Containers/Get',
  containers: '/containerd.services.containers.v1.Containers/List',
  namespaces: '/containerd.services.namespaces.v1.Namespaces/List',
  task: `${TASKS}/Get`,
  tasks: `${TASKS}/List`,
  exec: `${TASKS}/Exec`,
  start: `${TASKS}/Start`,
  wait: `${TASKS}/Wait`,
  kill: `${TASKS}/Kill`,
  resize: `${TASKS}/ResizePty`,
  closeIo: `${TASKS}/CloseIO`,
  deleteProcess: `${TASKS}/DeleteProcess`,
  subscribe: '/containerd.services.events.v1.Events/Subscribe',
} as const

export type ContainerdMethod = keyof typeof METHODS

/** What changes nothing is asked again where the connection turns out to be that of a server that is gone. */
const HARMLESS: readonly ContainerdMethod[] = ['version', 'container', 'containers', 'namespaces', 'task', 'tasks']

type Fields = Readonly<Record<number, FieldValue>>

export interface ContainerdApi {
  readonly socket: string
  readonly namespace: string
  /**
   * @param limitMs absent: the default; `Infinity`: none, for a call that answers when something happens
   * @throws GrpcError what containerd itself says; HatchwayError ENGINE_UNAVAILABLE, ENGINE_LOST, ENGINE_TIMEOUT, ENGINE_ERROR;
   * the signal's reason
   */
  call(method: ContainerdMethod, fields: Fields, signal: AbortSignal, limitMs?: number): Promise<DecodedMessage>
  stream(method: ContainerdMethod, fields: Fields, signal: AbortSignal): AsyncGenerator<DecodedMessage>
  close(): void
}

export function createContainerdApi(socket: string, namespace: string, defaultLimitMs: number): ContainerdApi {
  const channel = createGrpcChannel(socket, { 'containerd-namespace': namespace })

  async function once(method: ContainerdMethod, fields: Fields, signal: AbortSignal): Promise<DecodedMessage> {
    return readMessage(await channel.call(METHODS[method], encodeMessage(fields), signal))
  }

  async function bounded(method: ContainerdMethod, fields: Fields, signal: AbortSignal): Promise<DecodedMessage> {
    try {
      return await once(method, fields, signal).catch((error: unknown) => {
        if (!isBroken(error) || !HARMLESS.includes(method)) throw error
        return once(method, fields, signal)
      })
    } catch (error) {
      signal.throwIfAborted()
      throw described(error, socket, method)
    }
  }

  return {
    socket,
    namespace,
    call(method, fields, signal, limitMs = defaultLimitMs) {
      if (limitMs === Number.POSITIVE_INFINITY) return bounded(method, fields, signal)
      return withDeadline(engineLimit(`containerd's ${method}`, limitMs), [signal], (limit) =>
        bounded(method, fields, limit),
      )
    },
    async *stream(method, fields, signal) {
      try {
        for await (const message of channel.stream(METHODS[method], encodeMessage(fields), signal))
          yield readMessage(message)
      } catch (error) {
        signal.throwIfAborted()
        throw described(error, socket, method)
      }
    },
    close: () => channel.close(),
  }
}

function readMessage(bytes: Buffer): DecodedMessage {
  try {
    return decodeMessage(bytes)
  } catch (cause) {
    throw new HatchwayError('ENGINE_ERROR', 'the container engine gave an answer that makes no sense', { cause })
  }
}

function isBroken(error: unknown): boolean {
  return error instanceof GrpcError && error.status === GRPC.unavailable
}

const CONNECT_WORDS: Readonly<Record<string, string>> = {
  ENOENT: 'its socket is missing',
  ECONNREFUSED: 'connection refused',
  EACCES: 'permission denied',
}

/** A connection's failure as a sentence; what containerd itself says stays what it is. */
function described(error: unknown, socket: string, method: ContainerdMethod): unknown {
  const cause = new Error(`unix://${socket}: ${messageOf(error)}`, { cause: error })
  if (isBroken(error)) return engineLost(cause)
  if (error instanceof GrpcError && error.status === GRPC.deadlineExceeded) return engineTimeout(method, 0)
  if (error instanceof GrpcError && error.status === GRPC.internal)
    return new HatchwayError('ENGINE_ERROR', 'the container engine gave an answer that makes no sense', { cause })
  if (error instanceof HatchwayError || error instanceof GrpcError) return error
  const word = Object.keys(CONNECT_WORDS).find((name) => isErrno(error, name))
  return unreachable(word && CONNECT_WORDS[word], cause)
}

export function isNotFound(error: unknown): boolean {
  return error instanceof GrpcError && error.status === GRPC.notFound
}

/** What containerd says, as a failure. */
export function containerdError(error: unknown, about: About): unknown {
  if (!(error instanceof GrpcError)) return error
  const cause = new Error(error.message)
  if (error.status === GRPC.notFound)
    return new HatchwayError('CONTAINER_NOT_FOUND', `no container ${about.container ?? ''}`, { cause })
  return engineError(error.message, about)
}
