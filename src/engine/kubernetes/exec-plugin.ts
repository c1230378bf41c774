/**
 * Exec plugins of a kubeconfig (client.authentication.k8s.io v1, v1beta1): a program that prints an ExecCredential. It is
 * the owner's program, run with arguments and never by a shell, without a terminal: nobody is there to answer it.
 */
import { spawn } from 'node:child_process'
import { z } from 'zod'
import { HatchwayError, isErrno } from '../../base/errors.ts'
import { oneLine } from '../../base/printable.ts'
import { openDeadline } from '../../lifetime/deadline.ts'
import { onAbort } from '../../lifetime/on-abort.ts'
import type { ExecPlugin } from './kubeconfig.ts'

export interface PluginAnswer {
  readonly token?: string
  readonly cert?: string
  readonly key?: string
  /** Milliseconds since the epoch; absent: as long as this process runs, as with kubectl. */
  readonly expiresAt?: number
}

/** It may ask an identity provider, over a network. */
const LIMIT_MS = 30_000
const MAX_OUTPUT_BYTES = 256 * 1024
const MAX_WORDS_BYTES = 4096

const credential = z.object({
  kind: z.literal('ExecCredential'),
  status: z.object({
    token: z.string().optional(),
    clientCertificateData: z.string().optional(),
    clientKeyData: z.string().optional(),
    expirationTimestamp: z.string().optional(),
  }),
})

/** @throws HatchwayError ENGINE_UNAVAILABLE; what the plugin says is its cause */
export async function askPlugin(
  plugin: ExecPlugin,
  env: NodeJS.ProcessEnv,
  signal: AbortSignal,
  limitMs = LIMIT_MS,
): Promise<PluginAnswer> {
  const output = await run(plugin, env, signal, limitMs)
  const parsed = credential.safeParse(parseJson(output))
  // Its output is a secret: not a word of it is told.
  if (!parsed.success) throw failed(plugin, 'printed no ExecCredential')
  const { token, clientCertificateData: cert, clientKeyData: key, expirationTimestamp } = parsed.data.status
  if (!token && !(cert && key)) throw failed(plugin, 'printed neither a token nor a certificate with its key')
  const expiresAt = expirationTimestamp === undefined ? Number.NaN : Date.parse(expirationTimestamp)
  return {
    ...(token && { token }),
    ...(cert && key && { cert, key }),
    ...(!Number.isNaN(expiresAt) && { expiresAt }),
  }
}

function run(plugin: ExecPlugin, env: NodeJS.ProcessEnv, signal: AbortSignal, limitMs: number): Promise<string> {
  const info = {
    apiVersion: plugin.apiVersion,
    kind: 'ExecCredential',
    spec: { interactive: false, ...(plugin.cluster && { cluster: plugin.cluster }) },
  }
  return new Promise((resolve, reject) => {
    signal.throwIfAborted()
    const child = spawn(plugin.command, [...plugin.args], {
      env: { ...env, ...plugin.env, KUBERNETES_EXEC_INFO: JSON.stringify(info) },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const limit = openDeadline(
      { ms: limitMs, reason: () => failed(plugin, `did not answer within ${limitMs / 1000} s`) },
      signal,
    )
    const remove = onAbort(limit.signal, (reason) => finish(() => reject(reason)))
    const output: Buffer[] = []
    let size = 0
    let words = ''
    const finish = (act: () => void) => {
      limit.release()
      remove()
      child.kill('SIGKILL')
      act()
    }
    child.stdout.on('data', (chunk: Buffer) => {
      size += chunk.length
      if (size > MAX_OUTPUT_BYTES) finish(() => reject(failed(plugin, 'printed too much')))
      else output.push(chunk)
    })
    child.stderr.on('data', (chunk: Buffer) => {
      words = (words + chunk.toString('utf8')).slice(0, MAX_WORDS_BYTES)
    })
    child.on('error', (error) => {
      const missing = isErrno(error, 'ENOENT')
      const hint = plugin.installHint ? `: ${oneLine(plugin.installHint)}` : ''
      finish(() => reject(failed(plugin, missing ? `is not installed${hint}` : 'cannot be run', error)))
    })
    child.on('close', (code, by) => {
      const how = by === null ? `exit code ${code}` : `signal ${by}`
      if (code === 0) finish(() => resolve(Buffer.concat(output).toString('utf8')))
      else finish(() => reject(failed(plugin, `failed (${how})`, new Error(oneLine(words) || how))))
    })
  })
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

function failed(plugin: ExecPlugin, how: string, cause?: unknown): HatchwayError {
  const sentence = `the container engine is not reachable (the credential plugin ${oneLine(plugin.command, 80)} ${how})`
  return new HatchwayError('ENGINE_UNAVAILABLE', sentence, { cause })
}
