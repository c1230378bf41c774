/** `hatchway records ...`: lists, verifies and holds what was recorded of sessions. */

import { messageOf } from '../base/errors.ts'
import { globMatches } from '../base/glob.ts'
import { printable } from '../base/printable.ts'
import type { Config } from '../config/schema.ts'
import { CliFailure } from '../control/cli-failure.ts'
import { signingKeyFile } from '../evidence/audit/signing-key.ts'
import { type Manifest, recordingSigner, type Started } from '../evidence/recording/manifest.ts'
import { findRecord, listRecords, type RecordEntry, recordIds } from '../evidence/recording/records.ts'
import { hold, release } from '../evidence/recording/retention.ts'
import { type RecordVerification, verifyRecord } from '../evidence/recording/verify.ts'
import { fingerprint } from '../ssh/public-key.ts'
import { bytes as inBytes } from './amounts.ts'
import { readKeys } from './ed25519-keys.ts'
import { type Column, table } from './table.ts'
import { timeOf } from './time-option.ts'

export interface RecordFilter {
  readonly who?: string
  readonly container?: string
  readonly since?: string
  readonly until?: string
  readonly state?: string
}

export async function recordsList(
  config: Config,
  { json, ...filter }: RecordFilter & { readonly json: boolean },
  width: number | undefined,
): Promise<string> {
  const found: RecordEntry[] = []
  const wanted = matcher(filter)
  try {
    for await (const entry of listRecords(directoryOf(config))) if (wanted(entry)) found.push(entry)
  } catch (error) {
    throw new CliFailure(`the records cannot be read: ${messageOf(error)}`)
  }
  if (json) return found.map((entry) => `${JSON.stringify(shownEntry(entry))}\n`).join('')
  return found.length === 0 ? 'no records\n' : table(COLUMNS, found, width)
}

function matcher({ who, container, since, until, state }: RecordFilter): (entry: RecordEntry) => boolean {
  const from = since === undefined ? Number.NEGATIVE_INFINITY : timeOf('--since', since)
  const to = until === undefined ? Number.POSITIVE_INFINITY : timeOf('--until', until)
  const isUnfiltered = who === undefined && container === undefined && since === undefined && until === undefined
  return ({ state: its, facts }) => {
    if (state !== undefined && state !== its) return false
    // What cannot be read is shown where nothing is sought, not hidden by what it cannot answer.
    if (!facts) return isUnfiltered
    // Of those whose time touches it.
    const began = Date.parse(facts.startedAt)
    const ended = 'endedAt' in facts ? Date.parse(facts.endedAt) : Number.POSITIVE_INFINITY
    return (
      ended >= from &&
      began <= to &&
      (who === undefined || globMatches(who, facts.identity.name) || facts.identity.fingerprint === who) &&
      (container === undefined ||
        globMatches(container, facts.container.name) ||
        (container !== '' && facts.container.id.startsWith(container)))
    )
  }
}

function shownEntry({ id, state, facts, problem, isHeld, bytes }: RecordEntry) {
  return { id, state, held: isHeld, bytes, ...(problem !== undefined && { problem }), ...facts }
}

const of = (cell: (facts: Started | Manifest) => string) => (entry: RecordEntry) =>
  entry.facts ? cell(entry.facts) : ''

const COLUMNS: readonly Column<RecordEntry>[] = [
  { head: 'RECORD', cell: ({ id }) => id, keep: true },
  { head: 'STATE', cell: ({ state, isHeld }) => (isHeld ? `${state}, held` : state), keep: true },
  { head: 'WHO', cell: of(({ identity }) => identity.name) },
  { head: 'USER', cell: of(({ user }) => user) },
  { head: 'CONTAINER', cell: of(({ container }) => container.name) },
  { head: 'SIZE', cell: ({ bytes }) => inBytes(bytes) },
  { head: 'WHAT', cell: (entry) => entry.problem ?? of(({ start, command }) => command ?? start)(entry) },
]

/** @param refs none: all */
export async function recordsVerify(
  config: Config,
  refs: readonly string[],
  { keys, json }: { readonly keys: readonly string[]; readonly json: boolean },
): Promise<{ readonly text: string; readonly whole: boolean }> {
  const directory = directoryOf(config)
  const files = keys.length > 0 ? keys : [`${signingKeyFile(config.keysDirectory)}.pub`]
  const signers = new Set((await Promise.all(files.map(readKeys))).flat().map(fingerprint))
  const ids =
    refs.length > 0
      ? await Promise.all(refs.map(async (ref) => (await recordOf(config, ref)).id))
      : await recordIds(directory)
  const all: RecordVerification[] = []
  for (const id of ids) all.push(await verifyRecord(directory, id, signers))
  const whole = all.every(({ problems }) => problems.length === 0)
  return { text: json ? all.map((one) => `${JSON.stringify(one)}\n`).join('') : all.map(report).join(''), whole }
}

function report({ id, state, problems, notes }: RecordVerification): string {
  const lines = [
    `${id}: ${problems.length > 0 ? 'NOT WHOLE' : state}`,
    ...problems.map((text) => `  problem: ${text}`),
    ...notes.map((text) => `  note: ${text}`),
  ]
  return lines.map((line) => `${printable(line)}\n`).join('')
}

/** For `ssh-keygen -Y verify -f`. */
export async function recordsKey(config: Config): Promise<string> {
  return (await readKeys(`${signingKeyFile(config.keysDirectory)}.pub`)).map(recordingSigner).join('')
}

export async function recordsHold(
  config: Config,
  refs: readonly string[],
  reason: string | undefined,
): Promise<string> {
  return each(config, refs, async ({ folder, id }) => {
    await hold(folder, reason ?? '')
    return `${id}: held, nothing removes it\n`
  })
}

export async function recordsRelease(config: Config, refs: readonly string[]): Promise<string> {
  return each(config, refs, async ({ folder, id }) => {
    await release(folder)
    return `${id}: released\n`
  })
}

async function each(
  config: Config,
  refs: readonly string[],
  work: (entry: RecordEntry) => Promise<string>,
): Promise<string> {
  let text = ''
  for (const entry of await Promise.all(refs.map((ref) => recordOf(config, ref)))) {
    text += await work(entry).catch((error: unknown) => {
      throw new CliFailure(`record ${entry.id}: ${messageOf(error)}`)
    })
  }
  return text
}

/** By its id or its session's. */
export async function recordOf(config: Config, ref: string): Promise<RecordEntry> {
  const found = await findRecord(directoryOf(config), ref).catch((error: unknown) => {
    throw new CliFailure(`the records cannot be read: ${messageOf(error)}`)
  })
  if (!found) throw new CliFailure(`there is no record "${printable(ref)}": hatchway records lists them`)
  return found
}

function directoryOf({ recording }: Config): string {
  if (recording.directory !== undefined) return recording.directory
  throw new CliFailure('nothing is recorded: recording.directory of the configuration is not set')
}
