/** Where a Docker-compatible API is: DOCKER_HOST's spellings, and a socket to it. */
import { readFileSync } from 'node:fs'
import net from 'node:net'
import { join } from 'node:path'
import type { Duplex } from 'node:stream'
import tls from 'node:tls'
import { HatchwayError, isErrno, messageOf } from '../../base/errors.ts'
import { type SshAddress, SshStream } from './ssh-stream.ts'

export interface TlsFiles {
  readonly ca?: Buffer
  readonly cert?: Buffer
  readonly key?: Buffer
  /** False only where a docker context says so itself (SkipTLSVerify). */
  readonly verify: boolean
}

export type DockerAddress =
  | { readonly kind: 'unix'; readonly path: string }
  | { readonly kind: 'tcp'; readonly host: string; readonly port: number; readonly tls?: TlsFiles }
  | SshAddress

/**
 * undefined: a scheme that only a CLI serves (ssh://, npipe://).
 * @param by who named it, for the sentence
 * @throws HatchwayError CONFIG_INVALID where it cannot be read at all
 */
export function parseEngineAddress(text: string, by: string, env: NodeJS.ProcessEnv): DockerAddress | undefined {
  if (text.startsWith('/')) return { kind: 'unix', path: text }
  const [, scheme = '', rest = ''] = /^([a-z]+):\/\/(.*)$/.exec(text) ?? []
  if (scheme === 'unix' && rest.startsWith('/')) return { kind: 'unix', path: rest }
  if (scheme === 'ssh' || scheme === 'npipe' || scheme === 'fd') return undefined
  const found = /^(\[[0-9a-fA-F:.]+\]|[^/:[\]]+)(?::(\d{1,5}))?\/?$/.exec(rest)
  if (!['tcp', 'http', 'https'].includes(scheme) || found === null) {
    const expected = 'expected unix:///PATH, tcp://HOST:PORT or https://HOST:PORT'
    throw new HatchwayError('CONFIG_INVALID', `${by}: ${JSON.stringify(text)} is no address of an engine: ${expected}`)
  }
  const certificates = env.DOCKER_CERT_PATH
  const secure = scheme === 'https' || (scheme === 'tcp' && Boolean(env.DOCKER_TLS_VERIFY || certificates))
  const host = (found[1] ?? '').replace(/^\[|\]$/g, '')
  const port = Number(found[2] ?? (secure ? 2376 : 2375))
  if (!secure) return { kind: 'tcp', host, port }
  // Docker's own rule: a certificate path without DOCKER_TLS_VERIFY encrypts but does not verify. Hatchway always verifies.
  return { kind: 'tcp', host, port, tls: certificates ? tlsFiles(certificates, true) : { verify: true } }
}

export function tlsFiles(directory: string, verify: boolean): TlsFiles {
  const read = (name: string) => {
    try {
      return readFileSync(join(directory, name))
    } catch (error) {
      if (isErrno(error, 'ENOENT')) return undefined
      throw new HatchwayError('CONFIG_INVALID', `cannot read ${join(directory, name)}`, { cause: error })
    }
  }
  const [ca, cert, key] = [read('ca.pem'), read('cert.pem'), read('key.pem')]
  return { verify, ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) }
}

/** Where each of the three is: keys of the configuration. */
export type TlsPaths = { readonly [File in 'ca' | 'cert' | 'key']?: string | undefined }

/** @throws HatchwayError CONFIG_INVALID where one cannot be read, or is none */
export function readTlsFiles(paths: TlsPaths, by: string): TlsFiles {
  const read = (path: string | undefined) => {
    try {
      return path === undefined ? undefined : readFileSync(path)
    } catch (error) {
      throw new HatchwayError('CONFIG_INVALID', `${by}: cannot read ${path}: ${readFailure(error)}`, { cause: error })
    }
  }
  const [ca, cert, key] = [read(paths.ca), read(paths.cert), read(paths.key)]
  const files = { ...(ca && { ca }), ...(cert && { cert }), ...(key && { key }) }
  try {
    tls.createSecureContext(files)
  } catch (error) {
    const what = Object.values(paths).join(', ')
    throw new HatchwayError('CONFIG_INVALID', `${by}: ${what}: ${messageOf(error)}`, { cause: error })
  }
  return { verify: true, ...files }
}

/** "ENOENT: no such file or directory": node's words have the path once more. */
function readFailure(error: unknown): string {
  return messageOf(error).replace(/, [a-z]+( '.*')?$/, '')
}

export function formatAddress(address: DockerAddress): string {
  if (address.kind === 'unix') return `unix://${address.path}`
  const host = address.host.includes(':') ? `[${address.host}]` : address.host
  if (address.kind === 'ssh') {
    const { user, port, path = '' } = address
    return `ssh://${user === undefined ? '' : `${user}@`}${host}${port === undefined ? '' : `:${port}`}${path}`
  }
  return `tcp://${host}:${address.port}`
}

/** A stream to it, for node:http. Not half open: one that is kept and that the engine has closed is none for the next call. */
export function connectTo(address: DockerAddress): Duplex {
  return address.kind === 'ssh' ? new SshStream(address) : connectSocket(address, { allowHalfOpen: false })
}

/** @param options as net.connect takes them */
export function connectSocket(
  address: Exclude<DockerAddress, SshAddress>,
  options: { onread?: net.OnReadOpts; allowHalfOpen?: boolean } = {},
): net.Socket {
  // allowHalfOpen: closing a program's stdin is a half-close of this stream, its output still comes.
  const shared = { allowHalfOpen: true, ...options }
  if (address.kind === 'unix') return net.connect({ ...shared, path: address.path })
  const place = { ...shared, host: address.host, port: address.port, noDelay: true, keepAlive: true }
  if (address.tls === undefined) return net.connect(place)
  const { ca, cert, key, verify } = address.tls
  return tls.connect({
    ...place,
    ...(net.isIP(address.host) === 0 && { servername: address.host }),
    rejectUnauthorized: verify,
    ...(ca && { ca }),
    ...(cert && { cert }),
    ...(key && { key }),
  })
}
