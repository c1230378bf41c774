/** Status (meta/v1): how the API server says no, and how an exec's last channel says how it ended. */
import { z } from 'zod'

export interface ApiStatus {
  readonly code: number
  /** "Forbidden", "NotFound", "Expired", ... */
  readonly reason: string
  readonly message: string
}

const status = z.object({
  status: z.string(),
  reason: z.string().nullish(),
  message: z.string().nullish(),
  code: z.number().nullish(),
  details: z
    .object({ causes: z.array(z.object({ reason: z.string().nullish(), message: z.string().nullish() })).nullish() })
    .nullish(),
})

/** Of an answer that is no 2xx: a proxy in between says other things than a Status. */
export function parseStatus(body: string, code: number): ApiStatus {
  const found = status.safeParse(parseJson(body))
  if (!found.success) return { code, reason: '', message: body.trim() || `status ${code}` }
  return { code, reason: found.data.reason ?? '', message: found.data.message ?? `status ${code}` }
}

/** Whether these words are the API server's own, and not a proxy's or an upgrade's. */
export function isStatus(body: string): boolean {
  return status.safeParse(parseJson(body)).success
}

/** How a program ended, or why it was not run. Undefined: that is no Status. */
export type ExecEnd = { readonly code: number } | { readonly failure: string }

export function parseExecEnd(text: string): ExecEnd | undefined {
  const found = status.safeParse(parseJson(text))
  if (!found.success) return undefined
  const { status: word, reason, message, details } = found.data
  if (word === 'Success') return { code: 0 }
  const exit = details?.causes?.find((cause) => cause.reason === 'ExitCode')?.message
  if (reason === 'NonZeroExitCode' && exit && /^\d{1,3}$/.test(exit)) return { code: Number(exit) }
  return { failure: message ?? reason ?? 'it failed' }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
