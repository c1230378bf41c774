/** What a call to the API server proves itself with, as of now: tokens rotate, plugins are asked again. */
import { readFile } from 'node:fs/promises'
import { HatchwayError } from '../../base/errors.ts'
import { unlessAborted } from '../../lifetime/on-abort.ts'
import { askPlugin, type PluginAnswer } from './exec-plugin.ts'
import type { UserAccess } from './kubeconfig.ts'

export interface ApiProof {
  readonly authorization?: string
  readonly cert?: Buffer | string
  readonly key?: Buffer | string
}

export interface Credentials {
  now(signal: AbortSignal): Promise<ApiProof>
  /** The server did not take this one: whatever it was made of is asked for anew. Returns whether that can help. */
  refused(proof: ApiProof): boolean
}

/** A kubelet renews a projected token at 80 % of its life, so one that was read a moment ago is good. */
const TOKEN_FILE_MS = 10_000
/** A plugin's credentials are not used up to their last second: clocks differ. */
const BEFORE_EXPIRY_MS = 10_000

export function createCredentials(user: UserAccess, env: NodeJS.ProcessEnv = process.env): Credentials {
  const { exec, tokenFile, token, basic, cert, key } = user
  const own: ApiProof = { ...(cert && { cert }), ...(key && { key }) }
  if (exec) {
    const plugin = cached(
      (signal) => askPlugin(exec, env, signal),
      ({ expiresAt }) => (expiresAt === undefined ? Number.POSITIVE_INFINITY : expiresAt - BEFORE_EXPIRY_MS),
    )
    return toCredentials(plugin, (answer) => ({ ...own, ...fromPlugin(answer) }))
  }
  if (tokenFile) {
    const file = cached(
      () => readToken(tokenFile),
      () => Date.now() + TOKEN_FILE_MS,
    )
    return toCredentials(file, (text) => ({ ...own, authorization: `Bearer ${text}` }))
  }
  const authorization = token
    ? `Bearer ${token}`
    : basic && `Basic ${Buffer.from(`${basic.username}:${basic.password}`).toString('base64')}`
  const proof = { ...own, ...(authorization && { authorization }) }
  return { now: async () => proof, refused: () => false }
}

function fromPlugin({ token, cert, key }: PluginAnswer): ApiProof {
  return { ...(token && { authorization: `Bearer ${token}` }), ...(cert && { cert }), ...(key && { key }) }
}

async function readToken(path: string): Promise<string> {
  try {
    return (await readFile(path, 'utf8')).trim()
  } catch (error) {
    throw new HatchwayError('ENGINE_UNAVAILABLE', 'the container engine is not reachable (its token cannot be read)', {
      cause: error,
    })
  }
}

interface Cached<T> {
  get(signal: AbortSignal): Promise<T>
  forget(): void
}

/** One question for all who wait. A failure is not kept. */
function cached<T>(ask: (signal: AbortSignal) => Promise<T>, until: (value: T) => number): Cached<T> {
  let known: { readonly value: Promise<T>; good: number } | undefined
  return {
    get(signal) {
      if (known === undefined || known.good <= Date.now()) {
        // No caller's signal: others wait for it, too, and it has a limit of its own.
        const entry = { value: ask(new AbortController().signal), good: Number.POSITIVE_INFINITY }
        known = entry
        entry.value.then(
          (value) => {
            entry.good = until(value)
          },
          () => {
            if (known === entry) known = undefined
          },
        )
      }
      return unlessAborted(known.value, signal)
    },
    forget() {
      known = undefined
    },
  }
}

function toCredentials<T>(source: Cached<T>, proofOf: (value: T) => ApiProof): Credentials {
  let latest: { readonly value: T; readonly proof: ApiProof } | undefined
  return {
    async now(signal) {
      const value = await source.get(signal)
      if (latest?.value !== value) latest = { value, proof: proofOf(value) }
      return latest.proof
    },
    refused(proof) {
      // Ten calls that were refused with one token ask once.
      if (latest?.proof === proof) source.forget()
      return true
    },
  }
}
