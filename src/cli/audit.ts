/** `hatchway audit ...`: checks and searches the trail, and prints the key that signs it. */
import { once } from 'node:events'
import type { Writable } from 'node:stream'
import { messageOf } from '../base/errors.ts'
import { plural } from '../base/plural.ts'
import { printable } from '../base/printable.ts'
import { nearestWord } from '../config/nearest.ts'
import type { Config } from '../config/schema.ts'
import { CliFailure } from '../control/cli-failure.ts'
import { AUDIT_ACTIONS, matchesAnAction } from '../evidence/audit/actions.ts'
import type { AuditOutcome } from '../evidence/audit/record.ts'
import { type AuditQuery, type Found, searchTrails } from '../evidence/audit/search.ts'
import { allowedSigner, signingKeyFile } from '../evidence/audit/signing-key.ts'
import { type Verification, verifyTrails } from '../evidence/audit/verify.ts'
import { fingerprint } from '../ssh/public-key.ts'
import { readKeys } from './ed25519-keys.ts'
import { timeOf } from './time-option.ts'

/** Written at once: a line a call would cost more than to find it. */
const CHUNK_CHARACTERS = 64 * 1024
const OUTCOMES: readonly string[] = ['ok', 'refused', 'failed'] satisfies AuditOutcome[]

export interface VerifyFlags {
  /** Files of public keys, or of allowed signers. */
  readonly keys: readonly string[]
  readonly anchors: readonly string[]
  readonly json: boolean
}

export async function auditVerify(
  config: Config,
  file: string | undefined,
  { keys, anchors, json }: VerifyFlags,
): Promise<{ readonly text: string; readonly whole: boolean }> {
  const path = fileOf(config, file)
  const files = keys.length > 0 ? keys : [`${signingKeyFile(config.keysDirectory)}.pub`]
  const blobs = (await Promise.all(files.map(readKeys))).flat()
  const kept = anchors.length > 0 || config.audit.anchorFile === undefined ? anchors : [config.audit.anchorFile]
  const signers = new Set(blobs.map(fingerprint))
  const all = await verifyTrails({ file: path, signers, anchors: kept }).catch((error: unknown) => {
    throw new CliFailure(`${path} cannot be read: ${messageOf(error)}`)
  })
  const whole = all.every(({ problems }) => problems.length === 0)
  return { text: json ? `${JSON.stringify(all, null, 2)}\n` : all.map(report).join(''), whole }
}

function report({ file, problems, notes, files, records, heads, first, last }: Verification): string {
  const what = `${plural(records, 'record')} (${first} to ${last}) in ${plural(files, 'file')}, ${plural(heads, 'signed head')}`
  const lines = [
    `${file}: ${what}: ${problems.length === 0 ? 'whole' : 'NOT WHOLE'}`,
    ...problems.map((text) => `  problem: ${text}`),
    ...notes.map((text) => `  note: ${text}`),
  ]
  return lines.map((line) => `${printable(line)}\n`).join('')
}

/** For `ssh-keygen -Y verify -f`. */
export async function auditKey(config: Config): Promise<string> {
  const blobs = await readKeys(`${signingKeyFile(config.keysDirectory)}.pub`)
  return blobs.map(allowedSigner).join('')
}

export interface SearchFlags {
  readonly who?: string
  readonly container?: string
  readonly since?: string
  readonly until?: string
  readonly action?: string
  readonly outcome?: string
  readonly json: boolean
}

export async function auditSearch(
  config: Config,
  file: string | undefined,
  { since, until, json, ...more }: SearchFlags,
  output: Writable,
): Promise<void> {
  const path = fileOf(config, file)
  if (more.outcome !== undefined && !OUTCOMES.includes(more.outcome))
    throw new CliFailure(`--outcome: expected one of ${OUTCOMES.join(', ')}`, 2)
  if (more.action !== undefined && !matchesAnAction(more.action)) throw noAction(more.action)
  const query: AuditQuery = {
    file: path,
    ...more,
    ...(since !== undefined && { since: timeOf('--since', since) }),
    ...(until !== undefined && { until: timeOf('--until', until) }),
  }
  let text = ''
  try {
    for await (const found of searchTrails(query)) {
      text += json ? `${found.line}\n` : lineOf(found)
      if (text.length < CHUNK_CHARACTERS) continue
      if (!output.write(text)) await once(output, 'drain')
      text = ''
    }
  } catch (error) {
    throw new CliFailure(`${path} cannot be read: ${messageOf(error)}`)
  }
  output.write(text)
}

function noAction(word: string): CliFailure {
  const near = nearestWord(word, AUDIT_ACTIONS)
  const meant = near === undefined ? '' : `; did you mean ${near}?`
  return new CliFailure(`--action: no record is called ${printable(word)}, but ${AUDIT_ACTIONS.join(', ')}${meant}`, 2)
}

/** What every line begins with, then all else as NAME=VALUE. */
const COLUMNS = ['seq', 'prev', 'at', 'outcome', 'action', 'identity', 'container', 'user', 'gateway']

function lineOf({ record }: Found): string {
  const { at, outcome, action, identity, container, user } = record
  const name = typeof container === 'object' && container !== null && 'name' in container ? container.name : undefined
  const place = [user, name].filter((part) => part !== undefined).join('@')
  const more = Object.entries(record).flatMap(([key, value]) =>
    COLUMNS.includes(key) ? [] : [`${key}=${shown(value)}`],
  )
  const columns = [at, outcome, action, identity ?? '-', place || '-', ...more]
  return `${columns.map(shown).join('  ')}\n`
}

function shown(value: unknown): string {
  return printable(typeof value === 'string' ? value : (JSON.stringify(value) ?? ''))
}

function fileOf({ audit }: Config, file: string | undefined): string {
  const path = file ?? audit.file
  if (path !== undefined) return path
  throw new CliFailure('there is no audit trail: name its file, or set audit.file in the configuration')
}
